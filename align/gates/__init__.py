"""Gates: sentences in a recipe that turn what was measured into pass, fail or inconclusive, and so into an exit code.

- dpo.preference.win_rate > 0.55 (confidence 0.95)      MODEL.SUITE.METRIC, or MODEL.SUITE.METRIC.SLICE
- sft.eval_loss < 2                                     STEP.METRIC of a stage or data entry; a dot may stand for a slash
- data.leakage.rows == 0                                summed over every data entry that tells it
- dpo.probes.gold - sft.probes.gold > 0                 a difference, paired where both answered the same rows
- dpo.probes.gold - baseline.dpo.probes.gold > -0.01    against a stored baseline
- dpo.safety.refusals > 0.9 or inconclusive             blocks only when it surely fails
"""

from __future__ import annotations

from align.gates.figures import save_baseline
from align.gates.judge import Judgement, Verdict, Waiting, judge, open_baseline
from align.gates.language import Gate, parse
from align.gates.names import check

__all__ = ["Gate", "Judgement", "Verdict", "Waiting", "check", "judge", "open_baseline", "parse", "save_baseline"]
