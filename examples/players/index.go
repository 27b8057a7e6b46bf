package main

import "context"

// maxIndexes bounds the indexes of a collection, in addition to the one on _id.
const maxIndexes = 63

// indexes is the collection of the indexes that scripts have asked for. They make
// no query faster, but a script that asks for one runs and finds it.
func (c *Collection) indexes() *Collection { return &Collection{c.store, "index/" + c.key} }

// EnsureIndex stores an index on a key, which is JSON: {"score":-1}.
func (c *Collection) EnsureIndex(ctx context.Context, name, key string) error {
	n, err := c.indexes().Count(ctx, document{"_id": document{"$ne": name}})
	if err != nil {
		return err
	}
	if n >= maxIndexes {
		return faultf("a collection has at most %d indexes", maxIndexes)
	}
	return c.indexes().Save(ctx, document{"_id": name, "key": key})
}

// Indexes returns the stored indexes.
func (c *Collection) Indexes(ctx context.Context) ([]document, error) {
	return c.indexes().Find(ctx, nil, Choice{})
}

// DropIndex removes the index that a query finds.
func (c *Collection) DropIndex(ctx context.Context, query document) error {
	return c.indexes().Remove(ctx, query)
}
