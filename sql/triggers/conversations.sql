-- Turns number themselves and are events at once; a conversation's events name what they are about.

create or replace trigger ops_roundtable_turns_number
  before insert on ops_roundtable_turns
  for each row
  when (new.turn is null)
  execute function ops_number_turn();

create or replace trigger ops_roundtable_turns_told
  after insert on ops_roundtable_turns
  for each row
  execute function ops_tell_of_turn();
