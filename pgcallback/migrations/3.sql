-- Where Rollback goes from a promotion; null if there is nothing before it. It is
-- always an earlier promotion, so that Rollback arrives at the first one.
alter table {}.promotion add column back bigint references {}.promotion;
update {}.promotion p set back = (
	select max(b.revision) from {}.promotion b
	where b.api_key = p.api_key and b.stage = p.stage and b.version = p.previous and b.revision < p.revision
);
alter table {}.promotion drop column previous;
