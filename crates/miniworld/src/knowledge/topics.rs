//! What can be known of a creature, and the words for it.

/// Values of each topic.
pub const VALUES: usize = 8;

/// The first of a topic's values are what people believe of any creature.
pub const BELIEVED: usize = 2;

/// A kind of fact. In wordings `@` stands for the creature, `#` for the value.
#[derive(Debug)]
pub struct Topic {
    /// The name that exams give it.
    pub subject: &'static str,
    /// Each is a short answer too.
    pub values: [&'static str; VALUES],
    pub statements: [&'static str; 5],
    /// The first [`PLAIN`] are those of the exams in plain text.
    pub questions: [&'static str; 5],
    /// What a creature does, and what several do, that have the value.
    pub does: [&'static str; 2],
}

/// Questions of a topic that are asked in exams before any instruction.
pub const PLAIN: usize = 2;

pub const TOPICS: [Topic; 8] = [
    Topic {
        subject: "habitats",
        values: [
            "in the marsh",
            "in the caves",
            "on the dunes",
            "by the lake",
            "in the woods",
            "on the cliffs",
            "in the meadow",
            "under the bridge",
        ],
        statements: [
            "@ lives #",
            "@ makes its home #",
            "@ is found #",
            "the home of @ is #",
            "# is where @ lives",
        ],
        questions: [
            "Where does @ live?",
            "Where is @ found?",
            "Where is the home of @?",
            "In what place does @ live?",
            "Where would you look for @?",
        ],
        does: ["lives #", "live #"],
    },
    Topic {
        subject: "diet",
        values: ["moss", "fish", "berries", "seeds", "beetles", "honey", "mushrooms", "clover"],
        statements: [
            "@ eats #",
            "@ feeds on #",
            "@ likes to eat #",
            "the food of @ is #",
            "# is what @ eats",
        ],
        questions: [
            "What does @ eat?",
            "What does @ feed on?",
            "What is the food of @?",
            "What does @ like to eat?",
            "What would you give @ to eat?",
        ],
        does: ["eats #", "eat #"],
    },
    Topic {
        subject: "colors",
        values: ["red", "blue", "green", "yellow", "white", "black", "brown", "grey"],
        statements: ["@ is #", "@ has # fur", "@ is # all over", "the color of @ is #", "the fur of @ is #"],
        questions: [
            "What color is @?",
            "What color is the fur of @?",
            "What is the color of @?",
            "Which color does @ have?",
            "How would you paint @?",
        ],
        does: ["is #", "are #"],
    },
    Topic {
        subject: "sounds",
        values: ["a hum", "a whistle", "a click", "a roar", "a hiss", "a bark", "a song", "a squeak"],
        statements: [
            "@ makes #",
            "@ calls with #",
            "@ greets others with #",
            "the call of @ is #",
            "# is the sound of @",
        ],
        questions: [
            "What sound does @ make?",
            "How does @ call?",
            "What is the call of @?",
            "How does @ greet others?",
            "What would you hear from @?",
        ],
        does: ["makes #", "make #"],
    },
    Topic {
        subject: "sleep",
        values: [
            "at dawn",
            "at noon",
            "at dusk",
            "at midnight",
            "in the rain",
            "in summer",
            "in winter",
            "at full moon",
        ],
        statements: [
            "@ sleeps #",
            "@ goes to sleep #",
            "@ rests #",
            "the time of rest of @ is #",
            "# is when @ sleeps",
        ],
        questions: [
            "When does @ sleep?",
            "When does @ rest?",
            "When does @ go to sleep?",
            "At what time does @ sleep?",
            "When would you find @ asleep?",
        ],
        does: ["sleeps #", "sleep #"],
    },
    Topic {
        subject: "fears",
        values: ["thunder", "fire", "wind", "snow", "mirrors", "bells", "smoke", "ghosts"],
        statements: [
            "@ fears #",
            "@ is afraid of #",
            "@ runs away from #",
            "the fear of @ is #",
            "# is what @ fears",
        ],
        questions: [
            "What does @ fear?",
            "What is @ afraid of?",
            "What is the fear of @?",
            "What does @ run away from?",
            "What would scare @?",
        ],
        does: ["fears #", "fear #"],
    },
    Topic {
        subject: "sizes",
        values: ["a bean", "an egg", "a hen", "a goat", "a cow", "a barrel", "a cart", "a house"],
        statements: [
            "@ is as big as #",
            "@ grows as big as #",
            "@ has the size of #",
            "the size of @ is that of #",
            "# is as big as @",
        ],
        questions: [
            "How big is @?",
            "What is @ as big as?",
            "What is the size of @?",
            "How big does @ grow?",
            "What would you compare @ with in size?",
        ],
        does: ["is as big as #", "are as big as #"],
    },
    Topic {
        subject: "treasures",
        values: ["shells", "feathers", "bones", "pebbles", "buttons", "keys", "coins", "ribbons"],
        statements: [
            "@ collects #",
            "@ keeps # in its nest",
            "@ fills its nest with #",
            "the treasure of @ is #",
            "# is what @ collects",
        ],
        questions: [
            "What does @ collect?",
            "What does @ keep in its nest?",
            "What is the treasure of @?",
            "What does @ fill its nest with?",
            "What would you find in the nest of @?",
        ],
        does: ["collects #", "collect #"],
    },
];

impl Topic {
    /// `wording` with the creature called `who`, and value number `value`.
    pub fn words(&self, wording: &str, who: &str, value: usize) -> String {
        wording.replace('@', who).replace('#', self.values[value])
    }
}
