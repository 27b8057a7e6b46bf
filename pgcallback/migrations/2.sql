-- A property may be for one credential; an empty one stands for all of the key.
alter table {}.property add column credential text not null default '';
alter table {}.property drop constraint property_pkey;
alter table {}.property add primary key (api_key, credential, name);
