-- The history's tables (DuckDB), schema version 4. No indexes: zone maps find a tick's rows, a unique
-- index would make the file several times as large. Rows are keyed by delete-and-insert.
-- Times are UTC nanoseconds, prices and amounts USD, quantities shares, sides +1 buy and -1 sell.

CREATE TABLE bars (
    symbol TEXT, "interval" TEXT, session DATE, start_ns BIGINT, available_at_ns BIGINT,
    received_at_ns BIGINT, version INTEGER, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE,
    volume DOUBLE, source TEXT, derived BOOLEAN, feed TEXT
);

-- Which days of a symbol were downloaded: bars of an interval by a feed, or corporate actions (what =
-- 'actions'). outcome: complete, empty (the broker has none) or refused; the days of a refused one are asked
-- for again. A row is committed with the bars that it tells of.
CREATE TABLE downloads (
    symbol TEXT, what TEXT, feed TEXT, "first" DATE, "last" DATE, outcome TEXT, bars BIGINT, detail TEXT,
    received_at_ns BIGINT
);

CREATE TABLE corporate_actions (
    symbol TEXT, ex_date DATE, split_ratio DOUBLE, cash_usd DOUBLE, received_at_ns BIGINT, source TEXT
);

-- Rows of a person's files that cannot be right, and were left out: one for each row and its first fault.
CREATE TABLE bars_quarantine (
    symbol TEXT, session DATE, "interval" TEXT, rule TEXT, measured DOUBLE, "limit" DOUBLE, file TEXT,
    "row" BIGINT, received_at_ns BIGINT
);

CREATE TABLE feature_sets (feature_set TEXT, names TEXT[]);

CREATE TABLE features (
    book TEXT, session DATE, tick_ns BIGINT, symbol TEXT, feature_set TEXT, "values" DOUBLE[],
    computed_at_ns BIGINT, market TEXT
);

CREATE TABLE signals (
    book TEXT, session DATE, tick_ns BIGINT, symbol TEXT, value DOUBLE, as_of_ns BIGINT,
    reference_price DOUBLE, limit_price DOUBLE, source TEXT, decision_id TEXT, kind TEXT,
    model_version TEXT, score DOUBLE, outcome TEXT
);

-- The gate's codes, filled by `history_schema`.
CREATE TABLE codes (number INTEGER, code TEXT, "check" INTEGER);

-- One row for each verdict: the code of a number is that bit of `failed` and that element, from 0, of the
-- lists. A row for each code would repeat all the rest 34 times.
CREATE TABLE gate_verdicts (
    book TEXT, session DATE, tick_ns BIGINT, execution_id TEXT, client_order_id TEXT, decision_id TEXT,
    symbol TEXT, side INTEGER, qty DOUBLE, limit_price DOUBLE, reducing BOOLEAN, at_ns BIGINT,
    failed BIGINT, measured DOUBLE[], limits DOUBLE[]
);

-- One row for each code of each verdict, to be read.
CREATE VIEW verdicts AS
SELECT
    v.* EXCLUDE (failed, measured, limits), c.code, c."check", v.measured[c.number + 1] AS measured,
    v.limits[c.number + 1] AS "limit", v.failed >> c.number & 1 = 1 AS failed
FROM gate_verdicts AS v, codes AS c;

CREATE TABLE orders (
    book TEXT, session DATE, tick_ns BIGINT, client_order_id TEXT, broker_order_id TEXT, decision_id TEXT,
    kind TEXT, symbol TEXT, side INTEGER, slice INTEGER, attempt INTEGER, qty DOUBLE, limit_price DOUBLE,
    reducing BOOLEAN, state TEXT, filled_qty DOUBLE, created_ns BIGINT, updated_ns BIGINT, detail TEXT
);

CREATE TABLE fills (
    book TEXT, session DATE, tick_ns BIGINT, broker_order_id TEXT, client_order_id TEXT, symbol TEXT,
    side INTEGER, qty DOUBLE, price DOUBLE, cum_qty DOUBLE, at_ns BIGINT, activity_id TEXT
);

CREATE TABLE positions (
    book TEXT, session DATE, tick_ns BIGINT, symbol TEXT, qty DOUBLE, avg_cost DOUBLE, mark DOUBLE,
    market_value DOUBLE, broker_qty DOUBLE
);

CREATE TABLE equity (
    book TEXT, session DATE, tick_ns BIGINT, at_ns BIGINT, equity DOUBLE, e0 DOUBLE, cash DOUBLE,
    session_peak DOUBLE, unit_value DOUBLE, unit_peak DOUBLE, gross_exposure DOUBLE
);

CREATE TABLE breaks (
    book TEXT, session DATE, tick_ns BIGINT, kind TEXT, subject TEXT, ours TEXT, theirs TEXT,
    sightings INTEGER, resolved BOOLEAN
);

CREATE TABLE checks (
    book TEXT, session DATE, tick_ns BIGINT, asset TEXT, "check" TEXT, severity TEXT, blocking BOOLEAN,
    passed BOOLEAN, detail TEXT
);

CREATE TABLE models (version TEXT, trained_at_ns BIGINT, path TEXT, manifest TEXT);
