from moderation.actions import forget_some_reported, forget_some_reporters
from users import deletion

deletion.steps += [forget_some_reporters, forget_some_reported]
