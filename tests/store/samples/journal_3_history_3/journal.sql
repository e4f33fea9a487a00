-- A journal of schema version 3 after a traded session, as that release wrote it.
BEGIN TRANSACTION;
CREATE TABLE adjustments (
	sequence INTEGER NOT NULL, 
	book TEXT NOT NULL, 
	adjustment_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	symbol TEXT NOT NULL, 
	qty_delta TEXT NOT NULL, 
	cash_delta TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	author TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	reverses TEXT DEFAULT '' NOT NULL, 
	cost_delta TEXT, 
	PRIMARY KEY (sequence), 
	UNIQUE (book, adjustment_id)
);
CREATE TABLE breaks (
	sequence INTEGER NOT NULL, 
	book TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	ours TEXT NOT NULL, 
	theirs TEXT NOT NULL, 
	first_ns BIGINT NOT NULL, 
	last_ns BIGINT NOT NULL, 
	sightings INTEGER NOT NULL, 
	resolved_ns BIGINT, 
	PRIMARY KEY (sequence)
);
CREATE TABLE equity (
	book TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	session TEXT NOT NULL, 
	equity TEXT NOT NULL, 
	e0 TEXT NOT NULL, 
	cash TEXT NOT NULL, 
	transfers_today TEXT NOT NULL, 
	unit_value FLOAT NOT NULL, 
	session_peak TEXT NOT NULL, 
	unit_peak FLOAT NOT NULL, 
	PRIMARY KEY (book, at_ns)
);
INSERT INTO "equity" VALUES('embedded:PA0001:paper',1347372000000000000,'2012-09-11','100000','100000','100000','0',1.0,'100000',1.0);
INSERT INTO "equity" VALUES('embedded:PA0001:paper',1347373800000000000,'2012-09-11','99990.88','100000','97993.63','0',0.9999088,'100000',1.0);
INSERT INTO "equity" VALUES('embedded:PA0001:paper',1347375600000000000,'2012-09-11','99990.67','100000','98509.87','0',9.9990669999999992612e-01,'100000',1.0);
CREATE TABLE fills (
	sequence INTEGER NOT NULL, 
	book TEXT NOT NULL, 
	session TEXT NOT NULL, 
	broker_order_id TEXT NOT NULL, 
	client_order_id TEXT, 
	symbol TEXT NOT NULL, 
	side INTEGER NOT NULL, 
	qty TEXT NOT NULL, 
	price TEXT NOT NULL, 
	cum_qty TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	activity_id TEXT NOT NULL, 
	received_ns BIGINT NOT NULL, 
	PRIMARY KEY (sequence), 
	UNIQUE (book, broker_order_id, cum_qty)
);
INSERT INTO "fills" VALUES(1,'embedded:PA0001:paper','2012-09-11','6218ae5d-24b0-4fb3-8f68-39e336df9f06','ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03','AAPL',1,'3','668.79','3',1347372000000000000,'20120911100000000::a1b418c9-6828-4b33-9cce-aeefa7d4622d',1347372000000000000);
INSERT INTO "fills" VALUES(2,'embedded:PA0001:paper','2012-09-11','fd5393c4-5353-42d1-bfc2-3bd732d02e67','ta-c726a9a2e6eba9c324873b0fd425db2c56f3c604','AAPL',-1,'3','665.68','3',1347373800000000000,'20120911103000000::7bd1d0e1-8818-40df-ac94-21401f6fa025',1347373800000000000);
INSERT INTO "fills" VALUES(3,'embedded:PA0001:paper','2012-09-11','e1b31e6a-5f03-4d67-9874-eb4e6c61493c','ta-c5d711f39ea28473d555f3df4d845cb9525e955f','MSFT',1,'48','30.85','48',1347373800000000000,'20120911103000000::a075e29a-7ed3-4016-9da0-5c8dd3b4591b',1347373800000000000);
INSERT INTO "fills" VALUES(4,'embedded:PA0001:paper','2012-09-11','e3f93880-c1f3-48b3-a8fa-f5d72a757ab3','ta-3769e919be325d6a0664748b51b33c311e3285ff','MSFT',-1,'48','30.84','48',1347375600000000000,'20120911110000000::a48cca69-5f70-4c50-85e2-9d781cf2a56d',1347375600000000000);
CREATE TABLE flattens (
	sequence INTEGER NOT NULL, 
	book TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	author TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	ended_ns BIGINT, 
	end_reason TEXT, 
	PRIMARY KEY (sequence)
);
CREATE TABLE foreign_orders (
	sequence INTEGER NOT NULL, 
	book TEXT NOT NULL, 
	finding TEXT NOT NULL, 
	first_ns BIGINT NOT NULL, 
	acknowledged_ns BIGINT, 
	acknowledged_by TEXT, 
	acknowledge_reason TEXT, 
	PRIMARY KEY (sequence), 
	UNIQUE (book, finding)
);
CREATE TABLE gate_checks (
	book TEXT NOT NULL, 
	tick_ns BIGINT NOT NULL, 
	"check" TEXT NOT NULL, 
	passed BOOLEAN NOT NULL, 
	at_ns BIGINT NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (book, tick_ns, "check")
);
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347372000000000000,'bars.complete',1,1347372000000000000,'60 sessions and the minutes since the open, 5 symbols, incomplete: none');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347372000000000000,'bars.sane',1,1347372000000000000,'');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347372000000000000,'bars.fresh',1,1347372000000000000,'seconds from the newest minute bar''s end to the tick');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347372000000000000,'bars.not_from_the_future',1,1347372000000000000,'');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347372000000000000,'bars.no_symbol_incomplete',1,1347372000000000000,'');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347372000000000000,'features.complete',1,1347372000000000000,'5 of 5 symbols, daily-498164b5703bd5e2');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347372000000000000,'features.finite',1,1347372000000000000,'without the 61 bars of a row: none');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347372000000000000,'features.point_in_time',1,1347372000000000000,'5 rows computed again');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347372000000000000,'signals.in_range',1,1347372000000000000,'2 signals');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347373800000000000,'bars.complete',1,1347373800000000000,'60 sessions and the minutes since the open, 5 symbols, incomplete: none');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347373800000000000,'bars.sane',1,1347373800000000000,'');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347373800000000000,'bars.fresh',1,1347373800000000000,'seconds from the newest minute bar''s end to the tick');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347373800000000000,'bars.not_from_the_future',1,1347373800000000000,'');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347373800000000000,'bars.no_symbol_incomplete',1,1347373800000000000,'');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347373800000000000,'features.complete',1,1347373800000000000,'5 of 5 symbols, daily-498164b5703bd5e2');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347373800000000000,'features.finite',1,1347373800000000000,'without the 61 bars of a row: none');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347373800000000000,'features.point_in_time',1,1347373800000000000,'5 rows computed again');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347373800000000000,'signals.in_range',1,1347373800000000000,'2 signals');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347375600000000000,'bars.complete',1,1347375600000000000,'60 sessions and the minutes since the open, 5 symbols, incomplete: none');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347375600000000000,'bars.sane',1,1347375600000000000,'');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347375600000000000,'bars.fresh',1,1347375600000000000,'seconds from the newest minute bar''s end to the tick');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347375600000000000,'bars.not_from_the_future',1,1347375600000000000,'');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347375600000000000,'bars.no_symbol_incomplete',1,1347375600000000000,'');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347375600000000000,'features.complete',1,1347375600000000000,'5 of 5 symbols, daily-498164b5703bd5e2');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347375600000000000,'features.finite',1,1347375600000000000,'without the 61 bars of a row: none');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347375600000000000,'features.point_in_time',1,1347375600000000000,'5 rows computed again');
INSERT INTO "gate_checks" VALUES('embedded:PA0001:paper',1347375600000000000,'signals.in_range',1,1347375600000000000,'2 signals');
CREATE TABLE halts (
	sequence INTEGER NOT NULL, 
	book TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	session TEXT NOT NULL, 
	action TEXT NOT NULL, 
	cause TEXT NOT NULL, 
	state INTEGER NOT NULL, 
	author TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (sequence)
);
CREATE TABLE intents (
	client_order_id TEXT NOT NULL, 
	verdict_id TEXT NOT NULL, 
	book TEXT NOT NULL, 
	session TEXT NOT NULL, 
	tick_ns BIGINT NOT NULL, 
	decision_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	symbol TEXT NOT NULL, 
	side INTEGER NOT NULL, 
	slice INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	qty TEXT NOT NULL, 
	limit_price TEXT NOT NULL, 
	reducing BOOLEAN NOT NULL, 
	extended_hours BOOLEAN NOT NULL, 
	signal_as_of_ns BIGINT, 
	created_ns BIGINT NOT NULL, 
	PRIMARY KEY (client_order_id), 
	UNIQUE (verdict_id)
);
INSERT INTO "intents" VALUES('ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03','ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03:b2cb8e49a87b4e2a','embedded:PA0001:paper','2012-09-11',1347372000000000000,'41532a1cf4100e23517266644d437216','external','AAPL',1,1,1,'3','669.45',0,0,1347372000000000000,1347372000000000000);
INSERT INTO "intents" VALUES('ta-c726a9a2e6eba9c324873b0fd425db2c56f3c604','ta-c726a9a2e6eba9c324873b0fd425db2c56f3c604:0fe98d3272714ed2','embedded:PA0001:paper','2012-09-11',1347373800000000000,'3e70622908a2efaa7c5a528d94a2b553','external','AAPL',-1,1,1,'3','665.02',1,0,1347373800000000000,1347373800000000000);
INSERT INTO "intents" VALUES('ta-c5d711f39ea28473d555f3df4d845cb9525e955f','ta-c5d711f39ea28473d555f3df4d845cb9525e955f:0fe98d3272714ed2','embedded:PA0001:paper','2012-09-11',1347373800000000000,'4896fcc77c4d049e53fdef1aa7d70390','external','MSFT',1,1,1,'48','30.88',0,0,1347373800000000000,1347373800000000000);
INSERT INTO "intents" VALUES('ta-3769e919be325d6a0664748b51b33c311e3285ff','ta-3769e919be325d6a0664748b51b33c311e3285ff:ff51615a54d04bf3','embedded:PA0001:paper','2012-09-11',1347375600000000000,'8dfe023eee56f53e945de0892e4a3eb5','external','MSFT',-1,1,1,'48','30.81',1,0,1347375600000000000,1347375600000000000);
CREATE TABLE leases (
	book TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	token TEXT NOT NULL, 
	host TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	process_start TEXT NOT NULL, 
	acquired_ns BIGINT NOT NULL, 
	expires_ns BIGINT NOT NULL, 
	PRIMARY KEY (book)
);
CREATE TABLE ledger_checkpoints (
	book TEXT NOT NULL, 
	name TEXT NOT NULL, 
	through_ns BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	PRIMARY KEY (book, name, through_ns)
);
INSERT INTO "ledger_checkpoints" VALUES('embedded:PA0001:paper','ledger',1347336000000000000,'{"cash_usd":100000.0,"holdings":{}}');
INSERT INTO "ledger_checkpoints" VALUES('embedded:PA0001:paper','stops',1347336000000000000,'{"cash_usd":100000.0,"holdings":{},"ex_dates":{"AAPL":[]},"apart":[]}');
CREATE TABLE locks (
	sequence INTEGER NOT NULL, 
	book TEXT NOT NULL, 
	symbol TEXT NOT NULL, 
	cause TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	reason TEXT NOT NULL, 
	released_ns BIGINT, 
	released_by TEXT, 
	release_reason TEXT, 
	PRIMARY KEY (sequence)
);
CREATE TABLE marks (
	book TEXT NOT NULL, 
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	PRIMARY KEY (book, name)
);
INSERT INTO "marks" VALUES('embedded:paper','book','embedded:PA0001:paper',0);
INSERT INTO "marks" VALUES('embedded:PA0001:paper','limits_in_force','{"limit_offset": 0.001, "max_slip_pct": 0.005, "exit_collar_pct": 0.05, "max_spread_bps": 50.0, "max_symbol_move": 0.1, "stale_signal_seconds": 120.0, "stale_quote_seconds": 120.0, "stale_account_seconds": 60.0, "no_entry_seconds_after_open": 70.0, "no_entry_minutes_before_close": 5.0, "min_order_notional": 50.0, "max_order_notional": 10000.0, "max_position_pct": 0.05, "max_gross_exposure": 0.6, "threshold": 0.1, "max_orders_per_symbol_per_day": 5.0, "max_orders_per_day": 200.0, "max_orders_per_execution": 10.0, "max_reject_streak": 5.0, "max_exit_orders_per_day": 400.0, "session_drawdown": 0.01, "max_daily_loss": 0.02, "max_drawdown": 0.1, "stop_loss": 0.05, "volatility_target": NaN, "use_margin": false, "fractional": false}',1347372000000000000);
INSERT INTO "marks" VALUES('embedded:PA0001:paper','opening_activity_ids','[]',1347372000000000000);
INSERT INTO "marks" VALUES('embedded:PA0001:paper','opening_activities_from','1347336000000000000',1347372000000000000);
INSERT INTO "marks" VALUES('embedded:PA0001:paper','unexplained_equity','0.0',1347372000000000000);
INSERT INTO "marks" VALUES('embedded:PA0001:paper','protected_ns','1796072673213433395',1796072673213433395);
INSERT INTO "marks" VALUES('embedded:PA0001:paper','last_signals','{"session": "2012-09-11", "signals": {"AAPL": ["external", "3e70622908a2efaa7c5a528d94a2b553", 1347373800000000000, true, 1347373800000000000, "3"], "MSFT": ["external", "8dfe023eee56f53e945de0892e4a3eb5", 1347375600000000000, true, 1347375600000000000, "48"], "GOOG": ["external", "7561a4df65663ebe0ad0246b22d0dbd8", 1347375400000000000, false, 1347375600000000000, "0"]}}',1347375600000000000);
INSERT INTO "marks" VALUES('embedded:PA0001:paper','reconciled_ns','1347375600000000000',1347375600000000000);
CREATE TABLE opening_positions (
	book TEXT NOT NULL, 
	symbol TEXT NOT NULL, 
	qty TEXT NOT NULL, 
	avg_cost TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	author TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (book, symbol)
);
INSERT INTO "opening_positions" VALUES('embedded:PA0001:paper','','100000','0',1347372000000000000,'system','first start, nothing held');
CREATE TABLE order_events (
	sequence INTEGER NOT NULL, 
	book TEXT NOT NULL, 
	client_order_id TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	from_state TEXT, 
	to_state TEXT NOT NULL, 
	broker_order_id TEXT, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (sequence)
);
INSERT INTO "order_events" VALUES(1,'embedded:PA0001:paper','ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03',1347372000000000000,NULL,'INTENT',NULL,'');
INSERT INTO "order_events" VALUES(2,'embedded:PA0001:paper','ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03',1347372000000000000,'INTENT','SUBMITTING',NULL,'');
INSERT INTO "order_events" VALUES(3,'embedded:PA0001:paper','ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03',1347372000000000000,'SUBMITTING','ACCEPTED','6218ae5d-24b0-4fb3-8f68-39e336df9f06','pending_new');
INSERT INTO "order_events" VALUES(4,'embedded:PA0001:paper','ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03',1347372000000000000,'ACCEPTED','FILLED','6218ae5d-24b0-4fb3-8f68-39e336df9f06','filled');
INSERT INTO "order_events" VALUES(5,'embedded:PA0001:paper','ta-c726a9a2e6eba9c324873b0fd425db2c56f3c604',1347373800000000000,NULL,'INTENT',NULL,'');
INSERT INTO "order_events" VALUES(6,'embedded:PA0001:paper','ta-c726a9a2e6eba9c324873b0fd425db2c56f3c604',1347373800000000000,'INTENT','SUBMITTING',NULL,'');
INSERT INTO "order_events" VALUES(7,'embedded:PA0001:paper','ta-c726a9a2e6eba9c324873b0fd425db2c56f3c604',1347373800000000000,'SUBMITTING','ACCEPTED','fd5393c4-5353-42d1-bfc2-3bd732d02e67','pending_new');
INSERT INTO "order_events" VALUES(8,'embedded:PA0001:paper','ta-c726a9a2e6eba9c324873b0fd425db2c56f3c604',1347373800000000000,'ACCEPTED','FILLED','fd5393c4-5353-42d1-bfc2-3bd732d02e67','filled');
INSERT INTO "order_events" VALUES(9,'embedded:PA0001:paper','ta-c5d711f39ea28473d555f3df4d845cb9525e955f',1347373800000000000,NULL,'INTENT',NULL,'');
INSERT INTO "order_events" VALUES(10,'embedded:PA0001:paper','ta-c5d711f39ea28473d555f3df4d845cb9525e955f',1347373800000000000,'INTENT','SUBMITTING',NULL,'');
INSERT INTO "order_events" VALUES(11,'embedded:PA0001:paper','ta-c5d711f39ea28473d555f3df4d845cb9525e955f',1347373800000000000,'SUBMITTING','ACCEPTED','e1b31e6a-5f03-4d67-9874-eb4e6c61493c','pending_new');
INSERT INTO "order_events" VALUES(12,'embedded:PA0001:paper','ta-c5d711f39ea28473d555f3df4d845cb9525e955f',1347373800000000000,'ACCEPTED','FILLED','e1b31e6a-5f03-4d67-9874-eb4e6c61493c','filled');
INSERT INTO "order_events" VALUES(13,'embedded:PA0001:paper','ta-3769e919be325d6a0664748b51b33c311e3285ff',1347375600000000000,NULL,'INTENT',NULL,'');
INSERT INTO "order_events" VALUES(14,'embedded:PA0001:paper','ta-3769e919be325d6a0664748b51b33c311e3285ff',1347375600000000000,'INTENT','SUBMITTING',NULL,'');
INSERT INTO "order_events" VALUES(15,'embedded:PA0001:paper','ta-3769e919be325d6a0664748b51b33c311e3285ff',1347375600000000000,'SUBMITTING','ACCEPTED','e3f93880-c1f3-48b3-a8fa-f5d72a757ab3','pending_new');
INSERT INTO "order_events" VALUES(16,'embedded:PA0001:paper','ta-3769e919be325d6a0664748b51b33c311e3285ff',1347375600000000000,'ACCEPTED','FILLED','e3f93880-c1f3-48b3-a8fa-f5d72a757ab3','filled');
CREATE TABLE orders (
	sequence INTEGER NOT NULL, 
	client_order_id TEXT NOT NULL, 
	book TEXT NOT NULL, 
	state TEXT NOT NULL, 
	broker_order_id TEXT, 
	filled_qty TEXT NOT NULL, 
	submitted_ns BIGINT, 
	updated_ns BIGINT NOT NULL, 
	detail TEXT NOT NULL, 
	evidence_ns BIGINT, 
	PRIMARY KEY (sequence), 
	UNIQUE (client_order_id)
);
INSERT INTO "orders" VALUES(1,'ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03','embedded:PA0001:paper','FILLED','6218ae5d-24b0-4fb3-8f68-39e336df9f06','3',1347372000000000000,1347372000000000000,'filled',1347372000000000000);
INSERT INTO "orders" VALUES(2,'ta-c726a9a2e6eba9c324873b0fd425db2c56f3c604','embedded:PA0001:paper','FILLED','fd5393c4-5353-42d1-bfc2-3bd732d02e67','3',1347373800000000000,1347373800000000000,'filled',1347373800000000000);
INSERT INTO "orders" VALUES(3,'ta-c5d711f39ea28473d555f3df4d845cb9525e955f','embedded:PA0001:paper','FILLED','e1b31e6a-5f03-4d67-9874-eb4e6c61493c','48',1347373800000000000,1347373800000000000,'filled',1347373800000000000);
INSERT INTO "orders" VALUES(4,'ta-3769e919be325d6a0664748b51b33c311e3285ff','embedded:PA0001:paper','FILLED','e3f93880-c1f3-48b3-a8fa-f5d72a757ab3','48',1347375600000000000,1347375600000000000,'filled',1347375600000000000);
CREATE TABLE outbox (
	sequence INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	book TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	severity TEXT NOT NULL, 
	title TEXT NOT NULL, 
	body TEXT NOT NULL, 
	sent_ns BIGINT, 
	PRIMARY KEY (sequence), 
	UNIQUE ("key")
);
CREATE TABLE schema_version (
	version INTEGER NOT NULL
);
INSERT INTO "schema_version" VALUES(3);
CREATE TABLE signals (
	sequence INTEGER NOT NULL, 
	book TEXT NOT NULL, 
	decision_id TEXT NOT NULL, 
	symbol TEXT NOT NULL, 
	value FLOAT NOT NULL, 
	as_of_ns BIGINT NOT NULL, 
	reference_price TEXT, 
	limit_price TEXT, 
	source TEXT NOT NULL, 
	received_ns BIGINT NOT NULL, 
	consumed_tick_ns BIGINT, 
	PRIMARY KEY (sequence), 
	UNIQUE (book, decision_id, symbol)
);
INSERT INTO "signals" VALUES(1,'embedded:PA0001:paper','41532a1cf4100e23517266644d437216','AAPL',0.5,1347372000000000000,NULL,NULL,'person',1347372000000000000,1347372000000000000);
INSERT INTO "signals" VALUES(2,'embedded:PA0001:paper','1914c91065f7c5c463891a077542a722','IBM',0.05,1347372000000000000,NULL,NULL,'person',1347372000000000000,1347372000000000000);
INSERT INTO "signals" VALUES(3,'embedded:PA0001:paper','3e70622908a2efaa7c5a528d94a2b553','AAPL',-0.9,1347373800000000000,NULL,NULL,'person',1347373800000000000,1347373800000000000);
INSERT INTO "signals" VALUES(4,'embedded:PA0001:paper','4896fcc77c4d049e53fdef1aa7d70390','MSFT',0.3,1347373800000000000,NULL,NULL,'person',1347373800000000000,1347373800000000000);
INSERT INTO "signals" VALUES(5,'embedded:PA0001:paper','7561a4df65663ebe0ad0246b22d0dbd8','GOOG',0.4,1347375400000000000,NULL,NULL,'person',1347375600000000000,1347375600000000000);
INSERT INTO "signals" VALUES(6,'embedded:PA0001:paper','8dfe023eee56f53e945de0892e4a3eb5','MSFT',-0.2,1347375600000000000,NULL,NULL,'person',1347375600000000000,1347375600000000000);
CREATE TABLE tick_inputs (
	sequence INTEGER NOT NULL, 
	book TEXT NOT NULL, 
	session TEXT NOT NULL, 
	tick_ns BIGINT NOT NULL, 
	execution_id TEXT NOT NULL, 
	phase TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	payload TEXT NOT NULL, 
	PRIMARY KEY (sequence)
);
INSERT INTO "tick_inputs" VALUES(1,'embedded:PA0001:paper','2012-09-11',1347372000000000000,'b2cb8e49a87b4e2a','exits',1347372000000000000,'{"book":"embedded:PA0001:paper","session":"2012-09-11","tick_ns":1347372000000000000,"execution_id":"b2cb8e49a87b4e2a","phase":"exits","now_ns":1347372000000000000,"equity_usd":100000.0,"buying_power_usd":100000.0,"settled_cash_usd":100000.0,"account_ns":1347372000000000000,"open_ns":1347370200000000000,"close_ns":1347393600000000000,"calendar_open":true,"broker_open":true,"halt_state":0,"halt_causes":[],"reconciling":false,"orders_today":0,"execution_orders":0,"exit_orders_today":0,"reject_streak":0,"symbols":[{"symbol":"AAPL","qty":0.0,"reserved_qty":0.0,"open_entry_usd":0.0,"bid":668.65,"ask":668.79,"quote_ns":1347372000000000000,"last_trade":668.72,"previous_close":662.74,"tradable":true,"fractionable":true,"halted":false,"locked":false,"in_flight":0,"lowest_sell_limit":"\\NaN","highest_buy_limit":"\\NaN","orders_today":0,"exits_today":0},{"symbol":"IBM","qty":0.0,"reserved_qty":0.0,"open_entry_usd":0.0,"bid":202.22,"ask":202.28,"quote_ns":1347372000000000000,"last_trade":202.25,"previous_close":200.95,"tradable":true,"fractionable":true,"halted":false,"locked":false,"in_flight":0,"lowest_sell_limit":"\\NaN","highest_buy_limit":"\\NaN","orders_today":0,"exits_today":0}],"signals":[{"symbol":"AAPL","value":0.5,"as_of_ns":1347372000000000000,"reference_price":668.72,"limit_price":"\\NaN","volatility":0.2111552667593995,"kind":"external","decision_id":"41532a1cf4100e23517266644d437216","attempt":1,"received_ns":1347372000000000000,"sequence":1},{"symbol":"IBM","value":0.05,"as_of_ns":1347372000000000000,"reference_price":202.25,"limit_price":"\\NaN","volatility":0.12883781242660164,"kind":"external","decision_id":"1914c91065f7c5c463891a077542a722","attempt":1,"received_ns":1347372000000000000,"sequence":2}],"forced_exits":[],"sent_ids":[],"limits":[0.001,0.005,0.05,50.0,0.1,120.0,120.0,60.0,70.0,5.0,50.0,10000.0,0.05,0.6,0.1,5.0,200.0,10.0,5.0,400.0,0.01,0.02,0.1,0.05,"\\NaN",false,false],"rules":2,"incomplete":[],"multiplier":1.0,"non_marginable_buying_power_usd":100000.0,"superseded":[],"waiting":[]}');
INSERT INTO "tick_inputs" VALUES(2,'embedded:PA0001:paper','2012-09-11',1347372000000000000,'b2cb8e49a87b4e2a','entries',1347372000000000000,'{"book":"embedded:PA0001:paper","session":"2012-09-11","tick_ns":1347372000000000000,"execution_id":"b2cb8e49a87b4e2a","phase":"entries","now_ns":1347372000000000000,"equity_usd":100000.0,"buying_power_usd":100000.0,"settled_cash_usd":100000.0,"account_ns":1347372000000000000,"open_ns":1347370200000000000,"close_ns":1347393600000000000,"calendar_open":true,"broker_open":true,"halt_state":0,"halt_causes":[],"reconciling":false,"orders_today":0,"execution_orders":0,"exit_orders_today":0,"reject_streak":0,"symbols":[{"symbol":"AAPL","qty":0.0,"reserved_qty":0.0,"open_entry_usd":0.0,"bid":668.65,"ask":668.79,"quote_ns":1347372000000000000,"last_trade":668.72,"previous_close":662.74,"tradable":true,"fractionable":true,"halted":false,"locked":false,"in_flight":0,"lowest_sell_limit":"\\NaN","highest_buy_limit":"\\NaN","orders_today":0,"exits_today":0},{"symbol":"IBM","qty":0.0,"reserved_qty":0.0,"open_entry_usd":0.0,"bid":202.22,"ask":202.28,"quote_ns":1347372000000000000,"last_trade":202.25,"previous_close":200.95,"tradable":true,"fractionable":true,"halted":false,"locked":false,"in_flight":0,"lowest_sell_limit":"\\NaN","highest_buy_limit":"\\NaN","orders_today":0,"exits_today":0}],"signals":[{"symbol":"AAPL","value":0.5,"as_of_ns":1347372000000000000,"reference_price":668.72,"limit_price":"\\NaN","volatility":0.2111552667593995,"kind":"external","decision_id":"41532a1cf4100e23517266644d437216","attempt":1,"received_ns":1347372000000000000,"sequence":1},{"symbol":"IBM","value":0.05,"as_of_ns":1347372000000000000,"reference_price":202.25,"limit_price":"\\NaN","volatility":0.12883781242660164,"kind":"external","decision_id":"1914c91065f7c5c463891a077542a722","attempt":1,"received_ns":1347372000000000000,"sequence":2}],"forced_exits":[],"sent_ids":[],"limits":[0.001,0.005,0.05,50.0,0.1,120.0,120.0,60.0,70.0,5.0,50.0,10000.0,0.05,0.6,0.1,5.0,200.0,10.0,5.0,400.0,0.01,0.02,0.1,0.05,"\\NaN",false,false],"rules":2,"incomplete":[],"multiplier":1.0,"non_marginable_buying_power_usd":100000.0,"superseded":[],"waiting":[]}');
INSERT INTO "tick_inputs" VALUES(3,'embedded:PA0001:paper','2012-09-11',1347373800000000000,'0fe98d3272714ed2','exits',1347373800000000000,'{"book":"embedded:PA0001:paper","session":"2012-09-11","tick_ns":1347373800000000000,"execution_id":"0fe98d3272714ed2","phase":"exits","now_ns":1347373800000000000,"equity_usd":99990.88,"buying_power_usd":97993.63,"settled_cash_usd":97993.63,"account_ns":1347373800000000000,"open_ns":1347370200000000000,"close_ns":1347393600000000000,"calendar_open":true,"broker_open":true,"halt_state":0,"halt_causes":[],"reconciling":false,"orders_today":1,"execution_orders":0,"exit_orders_today":0,"reject_streak":0,"symbols":[{"symbol":"AAPL","qty":3.0,"reserved_qty":0.0,"open_entry_usd":0.0,"bid":665.68,"ask":665.82,"quote_ns":1347373800000000000,"last_trade":665.75,"previous_close":662.74,"tradable":true,"fractionable":true,"halted":false,"locked":false,"in_flight":0,"lowest_sell_limit":"\\NaN","highest_buy_limit":"\\NaN","orders_today":1,"exits_today":0},{"symbol":"MSFT","qty":0.0,"reserved_qty":0.0,"open_entry_usd":0.0,"bid":30.83,"ask":30.85,"quote_ns":1347373800000000000,"last_trade":30.84,"previous_close":30.72,"tradable":true,"fractionable":true,"halted":false,"locked":false,"in_flight":0,"lowest_sell_limit":"\\NaN","highest_buy_limit":"\\NaN","orders_today":0,"exits_today":0}],"signals":[{"symbol":"AAPL","value":-0.9,"as_of_ns":1347373800000000000,"reference_price":665.75,"limit_price":"\\NaN","volatility":0.2111552667593995,"kind":"external","decision_id":"3e70622908a2efaa7c5a528d94a2b553","attempt":1,"received_ns":1347373800000000000,"sequence":3},{"symbol":"MSFT","value":0.3,"as_of_ns":1347373800000000000,"reference_price":30.84,"limit_price":"\\NaN","volatility":0.18137685633791462,"kind":"external","decision_id":"4896fcc77c4d049e53fdef1aa7d70390","attempt":1,"received_ns":1347373800000000000,"sequence":4}],"forced_exits":[],"sent_ids":["ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03"],"limits":[0.001,0.005,0.05,50.0,0.1,120.0,120.0,60.0,70.0,5.0,50.0,10000.0,0.05,0.6,0.1,5.0,200.0,10.0,5.0,400.0,0.01,0.02,0.1,0.05,"\\NaN",false,false],"rules":2,"incomplete":[],"multiplier":1.0,"non_marginable_buying_power_usd":97993.63,"superseded":[],"waiting":[]}');
INSERT INTO "tick_inputs" VALUES(4,'embedded:PA0001:paper','2012-09-11',1347373800000000000,'0fe98d3272714ed2','entries',1347373800000000000,'{"book":"embedded:PA0001:paper","session":"2012-09-11","tick_ns":1347373800000000000,"execution_id":"0fe98d3272714ed2","phase":"entries","now_ns":1347373800000000000,"equity_usd":99990.67,"buying_power_usd":99990.67,"settled_cash_usd":97993.63,"account_ns":1347373800000000000,"open_ns":1347370200000000000,"close_ns":1347393600000000000,"calendar_open":true,"broker_open":true,"halt_state":0,"halt_causes":[],"reconciling":false,"orders_today":2,"execution_orders":1,"exit_orders_today":1,"reject_streak":0,"symbols":[{"symbol":"AAPL","qty":0.0,"reserved_qty":0.0,"open_entry_usd":0.0,"bid":665.68,"ask":665.82,"quote_ns":1347373800000000000,"last_trade":665.75,"previous_close":662.74,"tradable":true,"fractionable":true,"halted":false,"locked":false,"in_flight":0,"lowest_sell_limit":"\\NaN","highest_buy_limit":"\\NaN","orders_today":2,"exits_today":1},{"symbol":"MSFT","qty":0.0,"reserved_qty":0.0,"open_entry_usd":0.0,"bid":30.83,"ask":30.85,"quote_ns":1347373800000000000,"last_trade":30.84,"previous_close":30.72,"tradable":true,"fractionable":true,"halted":false,"locked":false,"in_flight":0,"lowest_sell_limit":"\\NaN","highest_buy_limit":"\\NaN","orders_today":0,"exits_today":0}],"signals":[{"symbol":"AAPL","value":-0.9,"as_of_ns":1347373800000000000,"reference_price":665.75,"limit_price":"\\NaN","volatility":0.2111552667593995,"kind":"external","decision_id":"3e70622908a2efaa7c5a528d94a2b553","attempt":1,"received_ns":1347373800000000000,"sequence":3},{"symbol":"MSFT","value":0.3,"as_of_ns":1347373800000000000,"reference_price":30.84,"limit_price":"\\NaN","volatility":0.18137685633791462,"kind":"external","decision_id":"4896fcc77c4d049e53fdef1aa7d70390","attempt":1,"received_ns":1347373800000000000,"sequence":4}],"forced_exits":[],"sent_ids":["ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03","ta-c726a9a2e6eba9c324873b0fd425db2c56f3c604"],"limits":[0.001,0.005,0.05,50.0,0.1,120.0,120.0,60.0,70.0,5.0,50.0,10000.0,0.05,0.6,0.1,5.0,200.0,10.0,5.0,400.0,0.01,0.02,0.1,0.05,"\\NaN",false,false],"rules":2,"incomplete":[],"multiplier":1.0,"non_marginable_buying_power_usd":99990.67,"superseded":[],"waiting":[]}');
INSERT INTO "tick_inputs" VALUES(5,'embedded:PA0001:paper','2012-09-11',1347375600000000000,'ff51615a54d04bf3','exits',1347375600000000000,'{"book":"embedded:PA0001:paper","session":"2012-09-11","tick_ns":1347375600000000000,"execution_id":"ff51615a54d04bf3","phase":"exits","now_ns":1347375600000000000,"equity_usd":99990.67,"buying_power_usd":98509.87,"settled_cash_usd":96512.83,"account_ns":1347375600000000000,"open_ns":1347370200000000000,"close_ns":1347393600000000000,"calendar_open":true,"broker_open":true,"halt_state":0,"halt_causes":[],"reconciling":false,"orders_today":3,"execution_orders":0,"exit_orders_today":1,"reject_streak":0,"symbols":[{"symbol":"GOOG","qty":0.0,"reserved_qty":0.0,"open_entry_usd":0.0,"bid":700.28,"ask":700.44,"quote_ns":1347375600000000000,"last_trade":700.36,"previous_close":700.77,"tradable":true,"fractionable":true,"halted":false,"locked":false,"in_flight":0,"lowest_sell_limit":"\\NaN","highest_buy_limit":"\\NaN","orders_today":0,"exits_today":0},{"symbol":"MSFT","qty":48.0,"reserved_qty":0.0,"open_entry_usd":0.0,"bid":30.84,"ask":30.86,"quote_ns":1347375600000000000,"last_trade":30.85,"previous_close":30.72,"tradable":true,"fractionable":true,"halted":false,"locked":false,"in_flight":0,"lowest_sell_limit":"\\NaN","highest_buy_limit":"\\NaN","orders_today":1,"exits_today":0}],"signals":[{"symbol":"GOOG","value":0.4,"as_of_ns":1347375400000000000,"reference_price":700.36,"limit_price":"\\NaN","volatility":0.18321968311375741,"kind":"external","decision_id":"7561a4df65663ebe0ad0246b22d0dbd8","attempt":1,"received_ns":1347375600000000000,"sequence":5},{"symbol":"MSFT","value":-0.2,"as_of_ns":1347375600000000000,"reference_price":30.85,"limit_price":"\\NaN","volatility":0.18137685633791462,"kind":"external","decision_id":"8dfe023eee56f53e945de0892e4a3eb5","attempt":1,"received_ns":1347375600000000000,"sequence":6}],"forced_exits":[],"sent_ids":["ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03","ta-c726a9a2e6eba9c324873b0fd425db2c56f3c604","ta-c5d711f39ea28473d555f3df4d845cb9525e955f"],"limits":[0.001,0.005,0.05,50.0,0.1,120.0,120.0,60.0,70.0,5.0,50.0,10000.0,0.05,0.6,0.1,5.0,200.0,10.0,5.0,400.0,0.01,0.02,0.1,0.05,"\\NaN",false,false],"rules":2,"incomplete":[],"multiplier":1.0,"non_marginable_buying_power_usd":98509.87,"superseded":[],"waiting":[]}');
INSERT INTO "tick_inputs" VALUES(6,'embedded:PA0001:paper','2012-09-11',1347375600000000000,'ff51615a54d04bf3','entries',1347375600000000000,'{"book":"embedded:PA0001:paper","session":"2012-09-11","tick_ns":1347375600000000000,"execution_id":"ff51615a54d04bf3","phase":"entries","now_ns":1347375600000000000,"equity_usd":99990.19,"buying_power_usd":99990.19,"settled_cash_usd":96512.83,"account_ns":1347375600000000000,"open_ns":1347370200000000000,"close_ns":1347393600000000000,"calendar_open":true,"broker_open":true,"halt_state":0,"halt_causes":[],"reconciling":false,"orders_today":4,"execution_orders":1,"exit_orders_today":2,"reject_streak":0,"symbols":[{"symbol":"GOOG","qty":0.0,"reserved_qty":0.0,"open_entry_usd":0.0,"bid":700.28,"ask":700.44,"quote_ns":1347375600000000000,"last_trade":700.36,"previous_close":700.77,"tradable":true,"fractionable":true,"halted":false,"locked":false,"in_flight":0,"lowest_sell_limit":"\\NaN","highest_buy_limit":"\\NaN","orders_today":0,"exits_today":0},{"symbol":"MSFT","qty":0.0,"reserved_qty":0.0,"open_entry_usd":0.0,"bid":30.84,"ask":30.86,"quote_ns":1347375600000000000,"last_trade":30.85,"previous_close":30.72,"tradable":true,"fractionable":true,"halted":false,"locked":false,"in_flight":0,"lowest_sell_limit":"\\NaN","highest_buy_limit":"\\NaN","orders_today":2,"exits_today":1}],"signals":[{"symbol":"GOOG","value":0.4,"as_of_ns":1347375400000000000,"reference_price":700.36,"limit_price":"\\NaN","volatility":0.18321968311375741,"kind":"external","decision_id":"7561a4df65663ebe0ad0246b22d0dbd8","attempt":1,"received_ns":1347375600000000000,"sequence":5},{"symbol":"MSFT","value":-0.2,"as_of_ns":1347375600000000000,"reference_price":30.85,"limit_price":"\\NaN","volatility":0.18137685633791462,"kind":"external","decision_id":"8dfe023eee56f53e945de0892e4a3eb5","attempt":1,"received_ns":1347375600000000000,"sequence":6}],"forced_exits":[],"sent_ids":["ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03","ta-c726a9a2e6eba9c324873b0fd425db2c56f3c604","ta-c5d711f39ea28473d555f3df4d845cb9525e955f","ta-3769e919be325d6a0664748b51b33c311e3285ff"],"limits":[0.001,0.005,0.05,50.0,0.1,120.0,120.0,60.0,70.0,5.0,50.0,10000.0,0.05,0.6,0.1,5.0,200.0,10.0,5.0,400.0,0.01,0.02,0.1,0.05,"\\NaN",false,false],"rules":2,"incomplete":[],"multiplier":1.0,"non_marginable_buying_power_usd":99990.19,"superseded":[],"waiting":[]}');
CREATE TABLE verdicts (
	sequence INTEGER NOT NULL, 
	verdict_id TEXT NOT NULL, 
	book TEXT NOT NULL, 
	session TEXT NOT NULL, 
	tick_ns BIGINT NOT NULL, 
	execution_id TEXT NOT NULL, 
	client_order_id TEXT NOT NULL, 
	decision_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	symbol TEXT NOT NULL, 
	side INTEGER NOT NULL, 
	slice INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	qty TEXT NOT NULL, 
	limit_price TEXT NOT NULL, 
	reducing BOOLEAN NOT NULL, 
	at_ns BIGINT NOT NULL, 
	failed BIGINT NOT NULL, 
	cause TEXT NOT NULL, 
	measured TEXT NOT NULL, 
	limits TEXT NOT NULL, 
	gate_input TEXT NOT NULL, 
	PRIMARY KEY (sequence), 
	UNIQUE (verdict_id)
);
INSERT INTO "verdicts" VALUES(1,'ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03:b2cb8e49a87b4e2a','embedded:PA0001:paper','2012-09-11',1347372000000000000,'b2cb8e49a87b4e2a','ta-93e5bea405e5fd5ac7f392d34db9833e8daffe03','41532a1cf4100e23517266644d437216','external','AAPL',1,1,1,'3','669.45',0,1347372000000000000,0,'','[0.0,0.0,0.0,0.0,0.0,1800.0,21600.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,669.45,2008.3500000000001,2008.3500000000001,0.0010916377557124329,0.0,2.0935518602701633,0.009023146331894888,0.0,0.0200835,0.0,2008.3500000000001,0.0200835,0.0,0.0,0.0,0.0,0.0,0.0,0.0]','[1.0,0.0,0.0,0.0,0.0,70.0,300.0,0.0,0.0,120.0,2.0,120.0,60.0,0.0,0.0,"NaN",50.0,10000.0,0.005,0.005,50.0,0.1,0.0,0.05,0.0,100000.0,0.6,0.0,0.0,0.0,5.0,200.0,10.0,5.0]','{"order":{"side":1,"qty":3.0,"limit_price":669.45,"flatten":false},"signal":{"as_of_ns":1347372000000000000,"reference_price":668.72},"account":{"equity_usd":100000.0,"buying_power_usd":100000.0,"settled_cash_usd":100000.0,"as_of_ns":1347372000000000000},"position":{"qty":0.0,"reserved_qty":0.0,"exposure_usd":0.0},"quote":{"bid":668.65,"ask":668.79,"last_trade":668.72,"previous_close":662.74,"as_of_ns":1347372000000000000},"session":{"open_ns":1347370200000000000,"close_ns":1347393600000000000,"calendar_open":true,"broker_open":true,"tradable":true,"symbol_halted":false},"activity":{"decision_sent":false,"in_flight":0,"opposite_limit":"NaN","gross_exposure_usd":0.0,"symbol_orders_today":0,"orders_today":0,"execution_orders":0,"exit_orders_today":0,"reject_streak":0,"symbol_exits_today":0},"halt":{"state":0,"symbol_locked":false,"reconciling":false,"daily_loss":false,"max_drawdown":false,"session_drawdown":false},"limits":{"limit_offset":0.001,"max_slip_pct":0.005,"exit_collar_pct":0.05,"max_spread_bps":50.0,"max_symbol_move":0.1,"stale_signal_seconds":120.0,"stale_quote_seconds":120.0,"stale_account_seconds":60.0,"no_entry_seconds_after_open":70.0,"no_entry_minutes_before_close":5.0,"min_order_notional":50.0,"max_order_notional":10000.0,"max_position_pct":0.05,"max_gross_exposure":0.6,"threshold":0.1,"max_orders_per_symbol_per_day":5.0,"max_orders_per_day":200.0,"max_orders_per_execution":10.0,"max_reject_streak":5.0,"max_exit_orders_per_day":400.0,"session_drawdown":0.01,"max_daily_loss":0.02,"max_drawdown":0.1,"stop_loss":0.05,"volatility_target":"NaN","use_margin":false,"fractional":false},"now_ns":1347372000000000000}');
INSERT INTO "verdicts" VALUES(2,'ta-c726a9a2e6eba9c324873b0fd425db2c56f3c604:0fe98d3272714ed2','embedded:PA0001:paper','2012-09-11',1347373800000000000,'0fe98d3272714ed2','ta-c726a9a2e6eba9c324873b0fd425db2c56f3c604','3e70622908a2efaa7c5a528d94a2b553','external','AAPL',-1,1,1,'3','665.02',1,1347373800000000000,0,'','[0.0,0.0,0.0,0.0,0.0,3600.0,19800.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,665.02,1995.06,1995.06,0.001096507698084894,0.0,2.1028914757806993,0.004541750912876831,0.0,0.03992674131880827,3.0,0.0,0.03992674131880827,0.0,0.0,0.0,1.0,0.0,0.0,0.0]','[1.0,0.0,0.0,0.0,0.0,70.0,300.0,0.0,0.0,120.0,2.0,120.0,60.0,0.0,0.0,"NaN",50.0,10000.0,0.05,0.005,50.0,0.1,0.0,0.05,3.0,97993.63,0.6,0.0,0.0,0.0,5.0,40.0,10.0,5.0]','{"order":{"side":-1,"qty":3.0,"limit_price":665.02,"flatten":false},"signal":{"as_of_ns":1347373800000000000,"reference_price":665.75},"account":{"equity_usd":99990.88,"buying_power_usd":97993.63,"settled_cash_usd":97993.63,"as_of_ns":1347373800000000000},"position":{"qty":3.0,"reserved_qty":0.0,"exposure_usd":1997.25},"quote":{"bid":665.68,"ask":665.82,"last_trade":665.75,"previous_close":662.74,"as_of_ns":1347373800000000000},"session":{"open_ns":1347370200000000000,"close_ns":1347393600000000000,"calendar_open":true,"broker_open":true,"tradable":true,"symbol_halted":false},"activity":{"decision_sent":false,"in_flight":0,"opposite_limit":"NaN","gross_exposure_usd":1997.25,"symbol_orders_today":1,"orders_today":1,"execution_orders":0,"exit_orders_today":0,"reject_streak":0,"symbol_exits_today":0},"halt":{"state":0,"symbol_locked":false,"reconciling":false,"daily_loss":false,"max_drawdown":false,"session_drawdown":false},"limits":{"limit_offset":0.001,"max_slip_pct":0.005,"exit_collar_pct":0.05,"max_spread_bps":50.0,"max_symbol_move":0.1,"stale_signal_seconds":120.0,"stale_quote_seconds":120.0,"stale_account_seconds":60.0,"no_entry_seconds_after_open":70.0,"no_entry_minutes_before_close":5.0,"min_order_notional":50.0,"max_order_notional":10000.0,"max_position_pct":0.05,"max_gross_exposure":0.6,"threshold":0.1,"max_orders_per_symbol_per_day":5.0,"max_orders_per_day":200.0,"max_orders_per_execution":10.0,"max_reject_streak":5.0,"max_exit_orders_per_day":400.0,"session_drawdown":0.01,"max_daily_loss":0.02,"max_drawdown":0.1,"stop_loss":0.05,"volatility_target":"NaN","use_margin":false,"fractional":false},"now_ns":1347373800000000000}');
INSERT INTO "verdicts" VALUES(3,'ta-c5d711f39ea28473d555f3df4d845cb9525e955f:0fe98d3272714ed2','embedded:PA0001:paper','2012-09-11',1347373800000000000,'0fe98d3272714ed2','ta-c5d711f39ea28473d555f3df4d845cb9525e955f','4896fcc77c4d049e53fdef1aa7d70390','external','MSFT',1,1,1,'48','30.88',0,1347373800000000000,0,'','[0.0,0.0,0.0,0.0,0.0,3600.0,19800.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,30.88,1482.24,1482.24,0.0012970168612191683,0.0,6.485084306096993,0.003906250000000033,0.0,0.014823783058959402,0.0,1482.24,0.014823783058959402,0.0,0.0,0.0,0.0,2.0,1.0,0.0]','[1.0,0.0,0.0,0.0,0.0,70.0,300.0,0.0,0.0,120.0,2.0,120.0,60.0,0.0,0.0,"NaN",50.0,10000.0,0.005,0.005,50.0,0.1,0.0,0.05,0.0,97993.63,0.6,0.0,0.0,0.0,5.0,200.0,10.0,5.0]','{"order":{"side":1,"qty":48.0,"limit_price":30.88,"flatten":false},"signal":{"as_of_ns":1347373800000000000,"reference_price":30.84},"account":{"equity_usd":99990.67,"buying_power_usd":99990.67,"settled_cash_usd":97993.63,"as_of_ns":1347373800000000000},"position":{"qty":0.0,"reserved_qty":0.0,"exposure_usd":0.0},"quote":{"bid":30.83,"ask":30.85,"last_trade":30.84,"previous_close":30.72,"as_of_ns":1347373800000000000},"session":{"open_ns":1347370200000000000,"close_ns":1347393600000000000,"calendar_open":true,"broker_open":true,"tradable":true,"symbol_halted":false},"activity":{"decision_sent":false,"in_flight":0,"opposite_limit":"NaN","gross_exposure_usd":0.0,"symbol_orders_today":0,"orders_today":2,"execution_orders":1,"exit_orders_today":1,"reject_streak":0,"symbol_exits_today":0},"halt":{"state":0,"symbol_locked":false,"reconciling":false,"daily_loss":false,"max_drawdown":false,"session_drawdown":false},"limits":{"limit_offset":0.001,"max_slip_pct":0.005,"exit_collar_pct":0.05,"max_spread_bps":50.0,"max_symbol_move":0.1,"stale_signal_seconds":120.0,"stale_quote_seconds":120.0,"stale_account_seconds":60.0,"no_entry_seconds_after_open":70.0,"no_entry_minutes_before_close":5.0,"min_order_notional":50.0,"max_order_notional":10000.0,"max_position_pct":0.05,"max_gross_exposure":0.6,"threshold":0.1,"max_orders_per_symbol_per_day":5.0,"max_orders_per_day":200.0,"max_orders_per_execution":10.0,"max_reject_streak":5.0,"max_exit_orders_per_day":400.0,"session_drawdown":0.01,"max_daily_loss":0.02,"max_drawdown":0.1,"stop_loss":0.05,"volatility_target":"NaN","use_margin":false,"fractional":false},"now_ns":1347373800000000000}');
INSERT INTO "verdicts" VALUES(4,'ta-3769e919be325d6a0664748b51b33c311e3285ff:ff51615a54d04bf3','embedded:PA0001:paper','2012-09-11',1347375600000000000,'ff51615a54d04bf3','ta-3769e919be325d6a0664748b51b33c311e3285ff','8dfe023eee56f53e945de0892e4a3eb5','external','MSFT',-1,1,1,'48','30.81',1,1347375600000000000,0,'','[0.0,0.0,0.0,0.0,0.0,5400.0,18000.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,30.81,1478.8799999999999,1478.8799999999999,0.001296596434359893,0.0,6.48298217179889,0.004231770833333417,0.0,0.029599561639100932,48.0,0.0,0.029599561639100932,0.0,0.0,0.0,1.0,0.0,0.0,0.0]','[1.0,0.0,0.0,0.0,0.0,70.0,300.0,0.0,0.0,120.0,2.0,120.0,60.0,0.0,0.0,"NaN",50.0,10000.0,0.05,0.005,50.0,0.1,0.0,0.05,48.0,96512.83,0.6,0.0,0.0,0.0,5.0,40.0,10.0,5.0]','{"order":{"side":-1,"qty":48.0,"limit_price":30.81,"flatten":false},"signal":{"as_of_ns":1347375600000000000,"reference_price":30.85},"account":{"equity_usd":99990.67,"buying_power_usd":98509.87,"settled_cash_usd":96512.83,"as_of_ns":1347375600000000000},"position":{"qty":48.0,"reserved_qty":0.0,"exposure_usd":1480.8000000000002},"quote":{"bid":30.84,"ask":30.86,"last_trade":30.85,"previous_close":30.72,"as_of_ns":1347375600000000000},"session":{"open_ns":1347370200000000000,"close_ns":1347393600000000000,"calendar_open":true,"broker_open":true,"tradable":true,"symbol_halted":false},"activity":{"decision_sent":false,"in_flight":0,"opposite_limit":"NaN","gross_exposure_usd":1480.8000000000002,"symbol_orders_today":1,"orders_today":3,"execution_orders":0,"exit_orders_today":1,"reject_streak":0,"symbol_exits_today":0},"halt":{"state":0,"symbol_locked":false,"reconciling":false,"daily_loss":false,"max_drawdown":false,"session_drawdown":false},"limits":{"limit_offset":0.001,"max_slip_pct":0.005,"exit_collar_pct":0.05,"max_spread_bps":50.0,"max_symbol_move":0.1,"stale_signal_seconds":120.0,"stale_quote_seconds":120.0,"stale_account_seconds":60.0,"no_entry_seconds_after_open":70.0,"no_entry_minutes_before_close":5.0,"min_order_notional":50.0,"max_order_notional":10000.0,"max_position_pct":0.05,"max_gross_exposure":0.6,"threshold":0.1,"max_orders_per_symbol_per_day":5.0,"max_orders_per_day":200.0,"max_orders_per_execution":10.0,"max_reject_streak":5.0,"max_exit_orders_per_day":400.0,"session_drawdown":0.01,"max_daily_loss":0.02,"max_drawdown":0.1,"stop_loss":0.05,"volatility_target":"NaN","use_margin":false,"fractional":false},"now_ns":1347375600000000000}');
INSERT INTO "verdicts" VALUES(5,'ta-d5464a916170b8ac8d03432644215dbc65f18da4:ff51615a54d04bf3','embedded:PA0001:paper','2012-09-11',1347375600000000000,'ff51615a54d04bf3','ta-d5464a916170b8ac8d03432644215dbc65f18da4','7561a4df65663ebe0ad0246b22d0dbd8','external','GOOG',1,1,1,'2','701.14',0,1347375600000000000,512,'','[0.0,0.0,0.0,0.0,0.0,5400.0,18000.0,0.0,0.0,200.0,-200.0,0.0,0.0,0.0,0.0,701.14,1402.28,1402.28,0.0011137129476268958,0.0,2.2845393797487272,0.0005850707079355112,0.0,0.014024175771643197,0.0,1402.28,0.014024175771643197,0.0,0.0,0.0,0.0,4.0,1.0,0.0]','[1.0,0.0,0.0,0.0,0.0,70.0,300.0,0.0,0.0,120.0,2.0,120.0,60.0,0.0,0.0,"NaN",50.0,10000.0,0.005,0.005,50.0,0.1,0.0,0.05,0.0,96512.83,0.6,0.0,0.0,0.0,5.0,200.0,10.0,5.0]','{"order":{"side":1,"qty":2.0,"limit_price":701.14,"flatten":false},"signal":{"as_of_ns":1347375400000000000,"reference_price":700.36},"account":{"equity_usd":99990.19,"buying_power_usd":99990.19,"settled_cash_usd":96512.83,"as_of_ns":1347375600000000000},"position":{"qty":0.0,"reserved_qty":0.0,"exposure_usd":0.0},"quote":{"bid":700.28,"ask":700.44,"last_trade":700.36,"previous_close":700.77,"as_of_ns":1347375600000000000},"session":{"open_ns":1347370200000000000,"close_ns":1347393600000000000,"calendar_open":true,"broker_open":true,"tradable":true,"symbol_halted":false},"activity":{"decision_sent":false,"in_flight":0,"opposite_limit":"NaN","gross_exposure_usd":0.0,"symbol_orders_today":0,"orders_today":4,"execution_orders":1,"exit_orders_today":2,"reject_streak":0,"symbol_exits_today":0},"halt":{"state":0,"symbol_locked":false,"reconciling":false,"daily_loss":false,"max_drawdown":false,"session_drawdown":false},"limits":{"limit_offset":0.001,"max_slip_pct":0.005,"exit_collar_pct":0.05,"max_spread_bps":50.0,"max_symbol_move":0.1,"stale_signal_seconds":120.0,"stale_quote_seconds":120.0,"stale_account_seconds":60.0,"no_entry_seconds_after_open":70.0,"no_entry_minutes_before_close":5.0,"min_order_notional":50.0,"max_order_notional":10000.0,"max_position_pct":0.05,"max_gross_exposure":0.6,"threshold":0.1,"max_orders_per_symbol_per_day":5.0,"max_orders_per_day":200.0,"max_orders_per_execution":10.0,"max_reject_streak":5.0,"max_exit_orders_per_day":400.0,"session_drawdown":0.01,"max_daily_loss":0.02,"max_drawdown":0.1,"stop_loss":0.05,"volatility_target":"NaN","use_margin":false,"fractional":false},"now_ns":1347375600000000000}');
CREATE INDEX ix_verdicts_client_order_id ON verdicts (client_order_id);
CREATE INDEX verdicts_by_tick ON verdicts (book, session, tick_ns);
CREATE INDEX ix_intents_decision_id ON intents (decision_id);
CREATE INDEX intents_by_session ON intents (book, session);
CREATE INDEX intents_by_symbol ON intents (book, symbol);
CREATE INDEX orders_by_state ON orders (book, state);
CREATE INDEX ix_order_events_client_order_id ON order_events (client_order_id);
CREATE INDEX order_events_by_state ON order_events (book, to_state, sequence);
CREATE INDEX fills_by_session ON fills (book, session);
CREATE INDEX fills_by_time ON fills (book, at_ns);
CREATE INDEX ix_fills_client_order_id ON fills (client_order_id);
CREATE INDEX fills_by_activity ON fills (book, activity_id);
CREATE INDEX adjustments_by_time ON adjustments (book, at_ns);
CREATE INDEX adjustments_by_reversed ON adjustments (book, reverses);
CREATE INDEX halts_by_cause ON halts (book, cause, sequence);
CREATE INDEX flattens_in_force ON flattens (book, ended_ns);
CREATE INDEX locks_in_force ON locks (book, released_ns);
CREATE INDEX signals_pending ON signals (book, consumed_tick_ns);
CREATE INDEX tick_inputs_by_tick ON tick_inputs (book, session, tick_ns);
CREATE INDEX equity_by_session ON equity (book, session);
CREATE INDEX breaks_open ON breaks (book, resolved_ns);
CREATE INDEX outbox_pending ON outbox (sent_ns);
COMMIT;
