"""`script ROWS`: the desk's own training: five purged folds, the final fit, and figures out of sample."""

from __future__ import annotations

import json
import sys
import time

from training_set import training_set

from trading_assets.model.training import train

if __name__ == "__main__":
    rows = training_set(int(sys.argv[1]))
    began = time.process_time()
    trained = train(rows)
    json.dump({"seconds": [time.process_time() - began], "auc": trained.figures.auc}, sys.stdout)
