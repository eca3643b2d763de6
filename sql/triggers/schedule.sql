-- A slot that comes to be, or gets other times, counts from then on; whoever sleeps until the next occurrence hears of it.

create or replace trigger ops_conversation_slots_changes
  before insert or update of cron, timezone, enabled on ops_conversation_slots
  for each row
  execute function ops_slot_changes();

create or replace trigger ops_conversation_slots_changed
  after insert or update or delete on ops_conversation_slots
  for each statement
  execute function ops_slots_changed();
