from typing import Any

from django import forms

from common.validators import refuse_control_characters_within_lines
from moderation.actions import DAYS
from moderation.models import What

# What can be chosen, as (what, for how many days).
CHOICES: dict[str, tuple[What, int | None]] = {
    What.DISMISSED.value: (What.DISMISSED, None),
    **{f"{What.SUSPENDED.value}-{days}": (What.SUSPENDED, days) for days in DAYS},
    What.DEACTIVATED.value: (What.DEACTIVATED, None),
}
LABELS = {What.DISMISSED: "Close without consequence", What.DEACTIVATED: "Deactivate the account"}


def _label(what: What, days: int | None) -> str:
    return f"Suspend for {days} day{'s' if days > 1 else ''}" if days else LABELS[what]


class DecisionForm(forms.Form):
    decision = forms.ChoiceField(widget=forms.RadioSelect)
    why = forms.CharField(
        label="Why",
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}),
        validators=[refuse_control_characters_within_lines],
        help_text="For the audit trail, which nobody can change. The person does not see it.",
    )

    def __init__(self, *args: Any, can_be_punished: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = CHOICES if can_be_punished else {What.DISMISSED.value: CHOICES[What.DISMISSED.value]}
        field = self.fields["decision"]
        field.choices = [(key, _label(*choice)) for key, choice in offered.items()]  # type: ignore[attr-defined]
        if len(offered) == 1:
            field.initial = What.DISMISSED.value

    @property
    def chosen(self) -> tuple[What, int | None]:
        return CHOICES[self.cleaned_data["decision"]]
