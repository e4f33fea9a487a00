-- A journal of schema version 1, as it was written then: what a migration must carry over.
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
	PRIMARY KEY (sequence), 
	UNIQUE (book, adjustment_id)
);
INSERT INTO "adjustments" VALUES(1,'embedded:PA0001:paper','div-1','DIVIDEND','MSFT','0','3',1337351700000000000,'broker','DIV');
INSERT INTO "adjustments" VALUES(2,'embedded:PA0001:paper','odd-1','OTHER','IBM','2','0',1337351700000000000,'broker','DIV');
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
INSERT INTO "fills" VALUES(1,'embedded:PA0001:paper','2012-05-18','b-1','ta-1','AAPL',1,'1','530.2','1',1337351701000000000,'a-1',1337351702000000000);
INSERT INTO "fills" VALUES(2,'embedded:PA0001:paper','2012-05-18','b-1','ta-1','AAPL',1,'1','530.2','2',1337351701000000000,'a-2',1337351702000000000);
CREATE TABLE gate_checks (
	book TEXT NOT NULL, 
	tick_ns BIGINT NOT NULL, 
	"check" TEXT NOT NULL, 
	passed BOOLEAN NOT NULL, 
	at_ns BIGINT NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (book, tick_ns, "check")
);
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
INSERT INTO "halts" VALUES(1,'embedded:PA0001:paper',1337351700000000000,'2012-05-18','latch','FOREIGN_ORDER',2,'system','because');
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
INSERT INTO "intents" VALUES('ta-1','ta-1:run-1','embedded:PA0001:paper','2012-05-18',1337351700000000000,'d-1','model','AAPL',1,0,1,'3','530.25',0,0,NULL,1337351700000000000);
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
INSERT INTO "marks" VALUES('embedded:PA0001:paper','a','1',1);
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
INSERT INTO "opening_positions" VALUES('embedded:PA0001:paper','','100000','0',1337351700000000000,'pat','first start');
INSERT INTO "opening_positions" VALUES('embedded:PA0001:paper','MSFT','10','1',1337351700000000000,'pat','first start');
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
INSERT INTO "order_events" VALUES(1,'embedded:PA0001:paper','ta-1',1337351700000000000,NULL,'INTENT',NULL,'');
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
	PRIMARY KEY (sequence), 
	UNIQUE (client_order_id)
);
INSERT INTO "orders" VALUES(1,'ta-1','embedded:PA0001:paper','INTENT',NULL,'0',NULL,1337351700000000000,'');
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
INSERT INTO "schema_version" VALUES(1);
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
INSERT INTO "verdicts" VALUES(1,'ta-1:run-1','embedded:PA0001:paper','2012-05-18',1337351700000000000,'run-1','ta-1','d-1','model','AAPL',1,0,1,'3','530.25',0,1337351700000000000,0,'','["NaN",0.1,"Infinity","-Infinity",-0.0]','[0.3,"Infinity","NaN",1e+300,5e-324]','{"quote":{"bid":"NaN","ask":530.0,"text":"\\NaN"},"now_ns":1337351700000000000}');
CREATE INDEX verdicts_by_tick ON verdicts (book, session, tick_ns);
CREATE INDEX ix_verdicts_client_order_id ON verdicts (client_order_id);
CREATE INDEX ix_intents_decision_id ON intents (decision_id);
CREATE INDEX intents_by_session ON intents (book, session);
CREATE INDEX intents_by_symbol ON intents (book, symbol);
CREATE INDEX orders_by_state ON orders (book, state);
CREATE INDEX ix_order_events_client_order_id ON order_events (client_order_id);
CREATE INDEX order_events_by_state ON order_events (book, to_state, sequence);
CREATE INDEX fills_by_session ON fills (book, session);
CREATE INDEX ix_fills_client_order_id ON fills (client_order_id);
CREATE INDEX fills_by_time ON fills (book, at_ns);
CREATE INDEX halts_by_cause ON halts (book, cause, sequence);
CREATE INDEX locks_in_force ON locks (book, released_ns);
CREATE INDEX signals_pending ON signals (book, consumed_tick_ns);
CREATE INDEX tick_inputs_by_tick ON tick_inputs (book, session, tick_ns);
CREATE INDEX equity_by_session ON equity (book, session);
CREATE INDEX breaks_open ON breaks (book, resolved_ns);
CREATE INDEX outbox_pending ON outbox (sent_ns);
COMMIT;
