"""`script ROWS`: the same six fits by plain XGBoost: a `DMatrix` from a pandas frame, scored by AUC alone."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pandas as pd
import xgboost
from sklearn.metrics import roc_auc_score
from training_set import training_set

from trading_assets.model.splits import purged_walk_forward
from trading_assets.model.training import Parameters


def settings(parameters: Parameters) -> dict[str, object]:
    names = ("max_bin", "learning_rate", "max_depth", "min_child_weight", "subsample", "colsample_bytree")
    chosen = {name: getattr(parameters, name) for name in (*names, "reg_lambda", "seed")}
    return {"objective": "binary:logistic", "tree_method": "hist", "nthread": 1, **chosen}


def fitted(frame: pd.DataFrame, up: pd.Series, parameters: Parameters) -> xgboost.Booster:
    data = xgboost.DMatrix(frame, up, nthread=1)
    return xgboost.train(settings(parameters), data, num_boost_round=parameters.rounds)


def main() -> None:
    rows, parameters = training_set(int(sys.argv[1])), Parameters()
    frame = pd.DataFrame(rows.X, columns=list(rows.feature_names))
    up = pd.Series((rows.y > 0.0).astype(np.float64))
    folds = purged_walk_forward(rows.session, rows.label_end, parameters.folds, parameters.embargo)
    began = time.process_time()
    scores = np.full(len(rows), np.nan)
    for train, test in folds:
        booster = fitted(frame.iloc[train], up.iloc[train], parameters)
        scores[test] = booster.predict(xgboost.DMatrix(frame.iloc[test], nthread=1), output_margin=True)
    fitted(frame, up, parameters)
    tested = np.isfinite(scores)
    auc = roc_auc_score(up[tested], scores[tested])
    json.dump({"seconds": [time.process_time() - began], "auc": float(auc)}, sys.stdout)


if __name__ == "__main__":
    main()
