"""How each of the team talks when nobody real answers.

Every line may name {topic} and {company}; `reply` lines also {who} spoke last and the {bit} of what was said.
Lines for turns stay short: a turn has 120 characters, and the topic takes its share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Voice:
    """What one person says: to begin work, to end it, and in conversation to open, agree, object or move on."""

    begins: tuple[str, ...]
    thinks: tuple[str, ...]
    ends: tuple[str, ...]
    opens: tuple[str, ...]
    agrees: tuple[str, ...]
    objects: tuple[str, ...]
    moves: tuple[str, ...]
    tails: tuple[str, ...]


MINION: Final = Voice(
    begins=(
        "{topic}, for {company}. Short version first.",
        "One decision hides in {topic}; here it is, for {company}.",
        "{company} has talked about {topic} long enough. What we do:",
        "I read everything on {topic} once and kept what needs a yes or a no from {company}.",
    ),
    thinks=(
        "Half of this is not ours to do, and we should say so today.",
        "Whoever owns it must be one person, not a pair.",
        "If it does not fit into one week it is two pieces of work.",
        "The cheapest next move beats the best plan nobody starts.",
        "We lose more by waiting for certainty than by being wrong once.",
    ),
    ends=(
        "Owner and date by tonight, or it comes off the list.",
        "I will ask again on Thursday. Be done, or be ready to drop it.",
        "Say no now if you mean no later.",
        "Next: one name, one date, nothing else.",
    ),
    opens=(
        "{topic}. What is the decision, and who makes it?",
        "Ten minutes on {topic}. I want an owner at the end.",
        "{topic}: one blocker each, then we choose.",
        "Let us close {topic} today. Who goes first?",
    ),
    agrees=(
        "Yes. {who} has it, put a date on that",
        "Agreed with {who}, and it ships this week",
        "Good, that settles {topic}",
        "{who} is right, write it down",
        "Fine by me, {who}. By when?",
    ),
    objects=(
        "No, {who}. That is three meetings, not a plan",
        "“{bit}” has no owner. Who?",
        "Too slow, {who}. What can go out by Friday?",
        "We have been here before with {topic}",
        "I hear opinions on {topic}, not a deadline",
    ),
    moves=(
        "Then {topic} needs one owner and one date",
        "What falls off the list if we take {topic}?",
        "Two options on {topic}. Vote now",
        "Park the rest, keep {topic}",
        "Who tells {company}'s people about {topic}?",
    ),
    tails=("By when?", "Today.", "Name and date, please.", "Next point.", "Friday is the line."),
)

SAGE: Final = Voice(
    begins=(
        "On {topic}, what {company} knows and what it only believes are two different lists.",
        "I went through {topic} slowly, because {company} will have to live with the answer.",
        "Before {company} commits to {topic}, let me separate observation from hope.",
        "{topic} looks simple for {company}; I would put seven in ten on it being two questions.",
    ),
    thinks=(
        "The sample is small, so I hold this loosely.",
        "The strongest case against it is that nobody has asked for it yet.",
        "If the effect is real it should show in the second week, not only in the first.",
        "What would change my mind is one clear counterexample.",
        "Correlation is cheap here; I would want to see what happens when it is switched off.",
    ),
    ends=(
        "I lean towards yes, six in ten, and say what would turn me.",
        "Until the open questions are answered this is a bet, and should be sized like one.",
        "I would rather be slow here than sure for the wrong reason.",
        "Measure first; the argument will be shorter.",
    ),
    opens=(
        "On {topic}: what do we actually know?",
        "Let me ask what would prove us wrong on {topic}.",
        "{topic}: I see two readings, and evidence for one.",
        "Before opinions on {topic}: which figures do we trust?",
    ),
    agrees=(
        "{who}'s point holds, the pattern fits",
        "I agree with {who}, with one caveat on sample size",
        "“{bit}” matches what I would expect",
        "On balance, yes to {who}",
        "That is the better reading of {topic}, {who}",
    ),
    objects=(
        "{who}, where does “{bit}” come from?",
        "I am not convinced, {who}. The base rate says otherwise",
        "That explains one week of {topic}, not four",
        "Careful, {who}: we are counting only the survivors",
        "Perhaps. But {topic} had another cause last time",
    ),
    moves=(
        "Suppose {topic} fails. What would we have seen first?",
        "Three things could explain {topic}. Let us rule one out",
        "For {topic} I would set the measure before the target",
        "We are mixing cause and effect on {topic}",
        "How large must {topic} be before {company} should care?",
    ),
    tails=("Six in ten.", "I could be wrong.", "Evidence first.", "Show me the count.", "Weakly held."),
)

SCOUT: Final = Voice(
    begins=(
        "Went looking for {topic} out there, with {company} in mind, and it is livelier than I thought!",
        "Three fresh signals on {topic} that {company} could try before the week is out.",
        "{topic}! I already have a rough version of this for {company}.",
        "Asked around about {topic} for {company}; here is what people do instead of what they say.",
    ),
    thinks=(
        "Somebody will try this within the month; it may as well be us.",
        "The cheapest test costs an afternoon and can fail by Wednesday.",
        "People complain about the step before, not about this one.",
        "I would bet small on the odd one out.",
        "The same question came up in three places that never talk to each other.",
    ),
    ends=(
        "Give me two days and I bring numbers, good or bad.",
        "If it does not move after two tries I drop it, promised.",
        "Smallest test first; I can start now.",
        "I will tell you about the failures, too.",
    ),
    opens=(
        "{topic}! Saw something this morning, hear me out.",
        "I tried a tiny version of {topic} already. Want to see?",
        "Who else has noticed {topic} popping up everywhere?",
        "Quick signal on {topic} before we theorise!",
    ),
    agrees=(
        "Yes! {who}, I can test that tomorrow",
        "Love it, {who}, and I know where to try it",
        "“{bit}” is exactly what people keep asking for",
        "With {who} on this, and I would start smaller",
        "Go, {who}! {topic} is warm right now",
    ),
    objects=(
        "Hm, {who}, nobody outside talks like that",
        "“{bit}”? I saw the opposite last week",
        "That test takes a month, {who}. Mine takes a day",
        "We are guessing about {topic}, let me go and ask",
        "Too big, {who}! A slice of {topic} first",
    ),
    moves=(
        "What if we show {topic} to five people by noon?",
        "There is a cheap test for {topic}: one page, one button",
        "Others solved {topic} backwards. Steal it?",
        "Let me run two variants of {topic} and see",
        "Where do {company}'s people already meet {topic}?",
    ),
    tails=("Trying it now!", "One day, tops.", "Who is in?", "Small bet!", "Numbers by Wednesday."),
)

QUILL: Final = Voice(
    begins=(
        "Somewhere this morning somebody met {topic} for the first time, and {company} was not in the room.",
        "Every piece on {topic} needs one person in it; here is ours, for {company}.",
        "I started with the ending of {topic} and walked back to where {company} comes in.",
        "Picture one reader, one cup of coffee, and {topic}. That is who {company} writes for.",
    ),
    thinks=(
        "The second sentence has to earn the third.",
        "We keep explaining the machine when the story is the person using it.",
        "A small true detail will carry more than a large claim.",
        "The line I am proudest of is probably the one to cut.",
        "It reads better once somebody in it wants something.",
    ),
    ends=(
        "End where the reader can do something, and stop.",
        "If it is read aloud and nobody looks up, I will write it again.",
        "One thought to a paragraph, and the last one belongs to them.",
        "I kept the plain words; they were the true ones.",
    ),
    opens=(
        "Picture one person meeting {topic} for the first time.",
        "{topic} reads like a second chapter. Where is the first?",
        "If {topic} were a scene, who walks in?",
        "Let me tell {topic} as one small morning.",
    ),
    agrees=(
        "{who}, there is the story, in “{bit}”",
        "Yes, {who}, that line could open the piece",
        "I would read on after that, {who}",
        "With {who}: it has a beginning now",
        "That gives {topic} a face, thank you {who}",
    ),
    objects=(
        "{who}, nobody speaks like that at breakfast",
        "“{bit}” is a slogan. Who says it, and to whom?",
        "We skip the hard part of {topic}, {who}",
        "It is true, {who}, but nobody will feel it",
        "Too many heroes in {topic}. Choose one",
    ),
    moves=(
        "What does the reader of {topic} want by the end?",
        "I would begin {topic} in the middle",
        "There are two stories in {topic}; tell the smaller",
        "Read {topic} aloud and cut where you breathe",
        "Give {topic} one name and one place",
    ),
    tails=("That is the scene.", "Keep it small.", "One reader.", "Cut the rest.", "Plain words."),
)

XALT: Final = Voice(
    begins=(
        "Everybody posts the sensible thing about {topic}. {company} should post the other one.",
        "{topic}, turned upside down for {company}, because right side up nobody looked.",
        "What if {company} argued against {topic} for a day? Sideways is where the attention is.",
        "Hot take on {topic}: {company} has been saying it too politely.",
    ),
    thinks=(
        "The boring version is safe, and safe is invisible.",
        "One surprise is enough; two is a costume.",
        "Say it in nine words and it travels.",
        "The comments will write the sequel for us.",
        "Daring and loud are cousins, not twins; this one is daring.",
    ),
    ends=(
        "Post it before it feels comfortable.",
        "If it misses we learn in public, which also gets followers.",
        "Fewer words than feels safe. Done.",
        "I would pin it and walk away.",
    ),
    opens=(
        "Unpopular opinion: {topic} is backwards.",
        "{topic}, but make it nine words.",
        "What if we said the opposite about {topic}?",
        "Nobody will screenshot our {topic} yet. Fix that.",
    ),
    agrees=(
        "{who} said the quiet part. Post it",
        "“{bit}”: that is the headline, {who}",
        "Ha, yes {who}, and louder",
        "I would share that, {who}, and I share nothing",
        "{who} wins {topic} today",
    ),
    objects=(
        "{who}, my thumb scrolled past that",
        "“{bit}” is what everybody says",
        "Safe, {who}. Safe is invisible",
        "Cute, {who}, now say it so it stings",
        "{topic} does not need a plan, it needs a dare",
    ),
    moves=(
        "Flip {topic}: who would hate it, and why?",
        "Meme first, memo later on {topic}",
        "One picture, no caption: {topic}",
        "What would a rival post about {topic} tonight?",
        "Let {company} lose an argument about {topic} on purpose",
    ),
    tails=("Sideways.", "Nine words.", "Dare you.", "Ship the joke.", "Too polite?", "Screenshot that."),
)

OBSERVER: Final = Voice(
    begins=(
        "I compared {topic} with what {company} asked for and list what is missing before what is wrong.",
        "{topic}, checked in order of how much it would hurt {company}.",
        "Tally for {topic}: what held, what broke twice, and what nobody at {company} watches.",
        "I read {topic} as the person at {company} who has to live with it.",
    ),
    thinks=(
        "This is the third time it shows, so it is a pattern and not an accident.",
        "Nothing here says how we would notice that it failed.",
        "The step between the two is nobody's, and that is where it drops.",
        "It works on a quiet day; the busy day is untested.",
        "What should be kept is the order of things; it is right.",
    ),
    ends=(
        "Fix the first, watch the second, leave the third.",
        "One check, written down, would have caught all of it.",
        "I add it to the tally and look again in a week.",
        "If these are mended I have nothing else.",
    ),
    opens=(
        "{topic}: two things are missing, in this order.",
        "My tally says {topic} came up before.",
        "Who notices first when {topic} goes wrong?",
        "Checklist for {topic}: asked, done, watched?",
    ),
    agrees=(
        "{who} is right, and it can be checked",
        "Consistent with my tally, {who}",
        "“{bit}” closes one gap of two",
        "I see nothing missing there, {who}",
        "Yes, {who}; keep the order as it is",
    ),
    objects=(
        "{who}, “{bit}” leaves out who watches it",
        "That failed twice before, {who}",
        "Nobody owns the step after, {who}",
        "It holds on a quiet day, {who}. And on Monday?",
        "We fix a symptom of {topic}, not the gap",
    ),
    moves=(
        "Missing from {topic}: a way back",
        "For {topic} I would add one alarm and one owner",
        "List what {topic} depends on, then strike two",
        "What did we leave out of {topic} last time?",
        "Order {topic} by harm, not by effort",
    ),
    tails=("Noted.", "One gap left.", "Tally: two.", "Order matters.", "Then we are done."),
)

ANYBODY: Final = Voice(
    begins=(
        "A plain look at {topic} for {company}.",
        "{topic}, as it looks from where {company} stands.",
        "Here is what I make of {topic} for {company}.",
        "Taking {topic} one piece at a time, for {company}.",
    ),
    thinks=(
        "The simple reading is probably the right one.",
        "There is less to decide here than it seems.",
        "It helps to ask who it is for.",
        "One part of it matters more than the rest.",
        "I would begin with what is already there.",
    ),
    ends=(
        "That is as far as I can take it alone.",
        "I would try it and look again.",
        "Tell me what I have missed.",
        "Good enough to begin with.",
    ),
    opens=(
        "Shall we start with {topic}?",
        "{topic}: here is how I see it.",
        "What do we want from {topic}?",
        "Let us look at {topic} together.",
    ),
    agrees=(
        "I think {who} has it right",
        "That works for me, {who}",
        "“{bit}” sounds right",
        "Same here, {who}",
        "Yes to {who} on {topic}",
    ),
    objects=(
        "I see it differently, {who}",
        "“{bit}” leaves a question open",
        "Not sure about that, {who}",
        "{topic} might not work that way",
        "What about the other side of {topic}, {who}?",
    ),
    moves=(
        "What is the next small step on {topic}?",
        "Who should hear about {topic}?",
        "Let us try {topic} on one case",
        "{topic} touches more than we said",
        "What would make {topic} easier for {company}?",
    ),
    tails=("What do you think?", "Let us see.", "I can help.", "Worth a try.", "One step.", "Good."),
)

VOICES: Final[Mapping[str, Voice]] = MappingProxyType(
    {"minion": MINION, "sage": SAGE, "scout": SCOUT, "quill": QUILL, "xalt": XALT, "observer": OBSERVER}
)
