-- The sixteen formats, each with an instruction and an ending of its own, and topics for quiet days. A format that exists is
-- left as it is.

insert into ops_conversation_formats (
  format,
  description,
  min_agents,
  max_agents,
  min_turns,
  max_turns,
  temperature,
  formal,
  instruction,
  ending,
  topics
)
values
  (
    'standup',
    'Who did what, what is next, what is stuck.',
    4, 6, 6, 12, 0.60, true,
    'This is the standup. Each of you says in one breath what moved since last time, what you take on next,'
    ' and what is in your way. Name things by name: a piece, a number, a person. Whoever hears a blocker they'
    ' can lift says so. No debate here; what needs one gets a name and is parked.',
    'Close the round: say the one blocker that matters most today and who lifts it.',
    array[
      'What is blocking us?',
      'What moved since yesterday, and what did not?',
      'The one thing that must be finished today',
      'Where are we waiting for each other?',
      'What did we promise that is not done yet?',
      'What surprised us since the last round?',
      'Which task has sat longest, and why?',
      'What should we stop doing today to get the rest done?'
    ]
  ),
  (
    'debate',
    'Two sides of one question, argued to a decision.',
    2, 3, 6, 10, 0.80, false,
    'This is a debate. You have been given a side; argue it as well as it can be argued, whatever you think.'
    ' Attack the strongest point of the other side, not the weakest, and bring a reason or an example every'
    ' time. Concede what is true, then say why it does not decide the matter.',
    'Make your closing argument: the one point of the other side you could not answer, and where that leaves'
    ' the question.',
    array[
      'Fewer things, better, or more things, faster?',
      'Should we say no to our largest customer''s special wish?',
      'Is it better to publish every day or once a week?',
      'Do we lead with the price or with the story?',
      'Should we show our mistakes in public?',
      'Grow with the customers we have, or find others?',
      'Does a free offer bring buyers or browsers?',
      'Is being first worth being rough?'
    ]
  ),
  (
    'watercooler',
    'Small talk with no purpose, which is its purpose.',
    2, 3, 2, 5, 0.90, false,
    'You met by the watercooler. Nobody takes notes and nothing has to come of this. Say what crossed your'
    ' mind, pick up a stray word, tell the small thing that happened. Work may come up, plans may not. Be'
    ' yourself; a joke at your own expense is welcome.',
    'Somebody has to get back: let it end on a light note.',
    array[
      'The best small thing that happened this week',
      'What would you do with a free afternoon?',
      'A word customers use that we never do',
      'The oddest question anyone has asked us',
      'Something you changed your mind about lately',
      'What does a good morning look like?',
      'A shop, a page or a book worth stealing from',
      'If we had a mascot, what would it be?'
    ]
  ),
  (
    'brainstorm',
    'Many ideas first, judging later.',
    2, 4, 6, 12, 0.90, true,
    'This is a brainstorm. Quantity first: every turn adds an idea of its own, or builds on the last one with'
    ' ''and''. Nobody judges, nobody explains why not, strange is good. Make each idea concrete enough that'
    ' somebody could start on it tomorrow.',
    'Now choose: name the one idea from this round you would try first, and the smallest test of it.',
    array[
      'Ten ways to make a first-time visitor smile',
      'What could we give away that costs us nothing?',
      'How would we reach people who never heard of us?',
      'What if we had to sell without words?',
      'How might a customer bring us the next one?',
      'What could we do this week that nobody else does?',
      'How would we double what works with half the time?',
      'What would make people tell a friend about us?'
    ]
  ),
  (
    'retrospective',
    'What went well, what did not, what to change.',
    3, 6, 8, 14, 0.70, false,
    'This is the retrospective. Look back at the work, not at who did it. Say what happened before you say'
    ' what you make of it. For each thing that went wrong ask what made it likely; for each that went well ask'
    ' how it could be had again. Your own part first.',
    'Name one habit to keep and one to change, small enough to be done within the week.',
    array[
      'What did we learn this week that we would pay for?',
      'Which mistake did we make twice?',
      'What went better than we deserved?',
      'Where did work lie around waiting?',
      'Which decision would we take differently now?',
      'What did we finish that nobody needed?',
      'Where did we help each other, and where not?',
      'What would the customers say about this week?'
    ]
  ),
  (
    'planning',
    'From goals to the week''s work.',
    3, 5, 6, 12, 0.50, true,
    'This is the planning. Turn what we want into what somebody does this week: a piece of work, an owner in'
    ' this room, a day. Speak up when the sum is more than the week holds, and say what you would drop for it.'
    ' What nobody owns is not planned.',
    'State the plan as it stands: the two or three things that will be done, who has each, and what was put'
    ' off.',
    array[
      'What has to be true by Friday?',
      'Which goal gets this week, and which does not?',
      'How do we spend the next five days?',
      'What is the next step toward our first goal?',
      'What can we finish instead of start?',
      'Which work depends on something we have not got?',
      'What would we do with only half the week?',
      'What do we owe customers this week?'
    ]
  ),
  (
    'checkin',
    'How everybody is doing with the work.',
    3, 5, 4, 8, 0.60, false,
    'This is a check-in. Say honestly how the work sits with you: what gives you energy, what weighs, what you'
    ' would like help with. Listen more than you fix. Ask one real question of somebody else and leave room'
    ' for the answer.',
    'End by saying one thing you heard that you will remember.',
    array[
      'How is the load, honestly?',
      'What are you looking forward to?',
      'What do you need from the others right now?',
      'Which part of the work has become dull?',
      'What went unnoticed that should not?',
      'Where are you unsure at the moment?',
      'What would make tomorrow easier?',
      'Who helped you lately, and how?'
    ]
  ),
  (
    'content_review',
    'A piece of content, read with a reader''s eyes.',
    2, 4, 6, 10, 0.60, false,
    'This is a content review. Read as the reader it is meant for, busy and a little doubtful. Say where you'
    ' would stop reading and why, which claim you do not believe, which line you would keep at any price. A'
    ' complaint comes with a better line.',
    'Give your verdict, publish or mend, and the one change that would help most.',
    array[
      'Does our last piece say one thing?',
      'Which sentence of ours would a reader repeat?',
      'Where do we sound like everybody else?',
      'Do our headlines keep what they promise?',
      'What do we claim without showing it?',
      'Which piece should we write again from the start?',
      'Would a stranger know what we sell?',
      'What should we stop writing about?'
    ]
  ),
  (
    'triage',
    'What is on fire, in what order to put it out.',
    3, 4, 6, 10, 0.50, true,
    'This is triage. For each problem: who is hurt, how badly, since when, is it getting worse. Then sort:'
    ' now, this week, never. Be quick and dry; causes are for later. If you do not know, say what would tell'
    ' you in five minutes.',
    'Read out the order: what is first, who has it, and what will be left alone on purpose.',
    array[
      'What is broken that a customer can see?',
      'Which failure comes back every week?',
      'What do we fix first, and what never?',
      'Which alarms can we stop listening to?',
      'What is slowly getting worse?',
      'Which complaint have we heard three times?',
      'What would hurt most if it failed tonight?',
      'Which small fix saves the most trouble?'
    ]
  ),
  (
    'deep_dive',
    'One question, all the way down.',
    2, 4, 10, 18, 0.60, false,
    'This is a deep dive. Stay on the one question and go a level deeper with each turn: what do we know, how'
    ' do we know it, what does that rest on, what would show us wrong. Pull apart what was observed and what'
    ' was concluded. Slow is fine; changing the subject is not.',
    'Say what we know now that we did not know at the start, and the one question that is left.',
    array[
      'Why do people come, and why do they stay?',
      'What really happens in the first five minutes?',
      'Where does the time between order and thank-you go?',
      'Why did our best month happen?',
      'What do those who leave have in common?',
      'What do we believe about our customers without proof?',
      'Which number do we watch that tells us nothing?',
      'How does somebody decide to trust us?'
    ]
  ),
  (
    'risk_review',
    'What could go wrong, how likely, how bad.',
    2, 4, 6, 12, 0.50, false,
    'This is a risk review. Imagine it is three months from now and it has gone badly: say what happened. For'
    ' each risk give how likely, how bad, how we would notice, and what would be cheap to do today. Do not'
    ' soothe and do not frighten.',
    'Name the one risk you would spend money on, and the one you choose to live with.',
    array[
      'What would sink us within a month?',
      'Who or what can we not do without?',
      'What if our main channel closed tomorrow?',
      'Which promise could we fail to keep?',
      'What do we depend on that we do not control?',
      'What could a single mistake cost us?',
      'Which of our figures might be wrong?',
      'What are we not insured against?'
    ]
  ),
  (
    'strategy',
    'Where to go, and what to leave.',
    3, 5, 8, 14, 0.70, false,
    'This is about strategy: where to play, how to win, and above all what not to do. Think in seasons, not in'
    ' days. Every proposal names what it gives up. Bring evidence where there is any and say ''bet'' where there'
    ' is none.',
    'State the direction in one sentence, and what it makes us stop doing.',
    array[
      'What are we the best choice for, and for whom?',
      'What will we refuse to do this year?',
      'Where will growth come from next?',
      'What would we build if we began today?',
      'Which of our goals contradict each other?',
      'What do we know that others do not?',
      'What would a rival with more money do to us?',
      'When will we know that the direction is wrong?'
    ]
  ),
  (
    'shipping',
    'What leaves the house, and what keeps it.',
    3, 5, 6, 10, 0.50, true,
    'This is about shipping. Only what can leave the house counts. For each thing: is it ready, what exactly'
    ' is missing, who does that, by when. ''Nearly'' means no. If something can go out smaller and sooner, say'
    ' so.',
    'Call it: what goes out, who presses the button, and what waits for next time.',
    array[
      'What can go out today as it is?',
      'What keeps the nearly finished things?',
      'Which piece can go out smaller and sooner?',
      'What has to be checked before it leaves?',
      'Who tells the customers, and how?',
      'What did we hold back, and was it worth it?',
      'What would make us pull it back?',
      'What ships on Friday?'
    ]
  ),
  (
    'war_room',
    'An emergency, until it is none.',
    3, 5, 6, 10, 0.50, true,
    'This is the war room: something is wrong right now. One line each: what you see, what you do, what you'
    ' need. Facts before guesses, and guesses are called that. Nobody is blamed in here. One change at a time,'
    ' and say it before you make it.',
    'Report: is the harm stopped, what is being done in the next hour and by whom, when do we meet again.',
    array[
      'Something customers rely on has stopped',
      'A post of ours is taken the wrong way',
      'We promised a date we cannot keep',
      'The figures dropped overnight',
      'A supplier has let us down',
      'A mistake of ours is public',
      'Orders pile up faster than we can serve',
      'Somebody copies us, cheaper'
    ]
  ),
  (
    'conflict_resolution',
    'Two who do not get on, and what to do about it.',
    2, 2, 4, 8, 0.60, false,
    'The two of you have been at odds, and this is to clear it. Say what you saw and what it did to you, never'
    ' what the other is. Repeat what you heard before you answer it. Look for what you both want, then for one'
    ' thing each of you can do differently.',
    'Say what you will do differently from now on, and thank the other for one thing.',
    array[
      'What do we keep talking past each other about?',
      'What does each of us need from the other?',
      'Where did we begin to see it differently?',
      'What do we respect in each other''s work?',
      'How do we disagree without standing still?',
      'Which old matter should be laid to rest?',
      'What would working well together look like?',
      'How do we decide when we do not agree?'
    ]
  ),
  (
    'mentoring',
    'One who knows more helps one who knows less.',
    2, 2, 4, 8, 0.70, false,
    'This is mentoring. Whoever knows more asks before telling, and tells from what happened, failures too.'
    ' Whoever knows less brings a real case and tries an answer first. One idea at a time, until it could be'
    ' used tomorrow.',
    'Say the one thing to try before you meet again, and how you will know that it worked.',
    array[
      'What do you do when you are stuck?',
      'How do you know that a piece is finished?',
      'What did your worst mistake teach you?',
      'How do you say no to good ideas?',
      'How do you tell a signal from noise?',
      'What would you practise, an hour a day?',
      'How do you get better at judging your own work?',
      'What do you wish you had been told earlier?'
    ]
  )
on conflict on constraint ops_conversation_formats_pkey do nothing;

-- Everybody's working day, as long as nobody has one.
insert into ops_agent_schedules (agent_id, hour, activity_weight, preferred_formats)
select
  agent.id,
  hour.number,
  usual.activity_weight,
  usual.preferred_formats
from ops_agents as agent
cross join generate_series(0, 23) as hour (number)
cross join lateral ops_default_hours(hour.number) as usual
where not exists (select from ops_agent_schedules);
