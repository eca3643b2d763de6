-- A format that is deleted or renamed asks which slots use it.

create index ops_conversation_slots_format_idx
  on ops_conversation_slots (format);
