//go:build unix

package pgcallback_test

import (
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/pgcallback"
)

// scripts returns a tree with one callback of this source.
func scripts(source string) fstest.MapFS {
	return fstest.MapFS{"callbacks/hello.js": {Data: []byte(source)}}
}

// publish publishes trees with one callback each and returns their IDs.
func publish(t *testing.T, db *pgcallback.DB, sources ...string) []string {
	t.Helper()
	var ids []string
	for _, source := range sources {
		v, err := db.Publish(t.Context(), "E3", scripts(source), pgcallback.Change{Author: "ann", Message: source})
		require.NoError(t, err)
		ids = append(ids, v.ID)
	}
	return ids
}

func TestPublish(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	tree := fstest.MapFS{
		"callbacks/hello.js":     {Data: []byte("require('M'); if (Spark.getData().a) Spark.getRedis()")},
		"modules/M.js":           {Data: []byte("// m")},
		"modules/COPY.js":        {Data: []byte("// m")},
		"modules/EMPTY.js":       {Data: []byte{}},
		"modules/BYTES.js":       {Data: []byte("// \x00ü")},
		"modules/folder/deep.js": {Data: []byte("secret")},
		"system/.swp":            {Data: []byte("secret")},
		".git/HEAD":              {Data: []byte("secret")},
		".env":                   {Data: []byte("secret")},
	}
	v, err := db.Publish(t.Context(), "E3", tree, pgcallback.Change{Author: "ann", Message: "first"})
	require.NoError(t, err)
	require.Equal(t, "ann", v.Author)
	require.Equal(t, "first", v.Message)
	require.Len(t, v.Problems, 1, "what Check finds is kept: %v", v.Problems)
	require.Contains(t, v.Problems[0].Message, "getRedis")
	require.Empty(t, v.Stages)

	files, err := db.Files(t.Context(), "E3", v.ID)
	require.NoError(t, err)
	var names []string
	require.NoError(t, fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			names = append(names, name)
			content, err := fs.ReadFile(files, name)
			require.NoError(t, err)
			require.Equal(t, tree[name].Data, content, name)
		}
		return err
	}))
	require.Equal(t, []string{"callbacks/hello.js", "modules/BYTES.js", "modules/COPY.js", "modules/EMPTY.js", "modules/M.js"}, names)

	again, err := db.Publish(t.Context(), "E3", tree, pgcallback.Change{Author: "bob", Message: "second"})
	require.NoError(t, err)
	require.Equal(t, v, again, "an equal tree is the same version")
	other, err := db.Publish(t.Context(), "E4", tree, pgcallback.Change{Author: "bob", Message: "second"})
	require.NoError(t, err)
	require.Equal(t, v.ID, other.ID)
	require.Equal(t, "bob", other.Author, "each API key has versions of its own")

	var stored int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from callback.file").Scan(&stored))
	require.Equal(t, 4, stored, "equal contents are stored once")
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	_, err := db.Publish(t.Context(), "E3", scripts("var a = ;"), pgcallback.Change{})
	var refused *pgcallback.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Len(t, refused.Problems, 1)
	require.Equal(t, "callbacks/hello.js", refused.Problems[0].Script)
	require.Equal(t, 1, refused.Problems[0].Line)
	require.ErrorContains(t, err, "callback: version refused: callbacks/hello.js:1:")

	needy := scripts("Spark.getRedis()")
	_, err = db.Publish(t.Context(), "E3", needy, pgcallback.Change{})
	require.ErrorAs(t, err, &refused)
	_, err = db.Publish(t.Context(), "E5", needy, pgcallback.Change{Check: callback.CheckOptions{Members: []string{"getRedis"}}})
	require.NoError(t, err, "the host has the member")

	_, err = db.Publish(t.Context(), "E3", fstest.MapFS{}, pgcallback.Change{})
	require.EqualError(t, err, "callback: publish: no scripts")
	_, err = db.Publish(t.Context(), "E3", fstest.MapFS{"README": {}}, pgcallback.Change{})
	require.EqualError(t, err, "callback: publish: no scripts")
	_, err = db.Publish(t.Context(), "E3\x00", scripts("1"), pgcallback.Change{})
	require.ErrorContains(t, err, "zero byte")

	many := scripts("1")
	for i := range pgcallback.MaxFiles - 1 {
		many[fmt.Sprintf("modules/M%d.js", i)] = &fstest.MapFile{}
	}
	_, err = db.Publish(t.Context(), "E3", many, pgcallback.Change{})
	require.NoError(t, err)
	many["modules/MORE.js"] = &fstest.MapFile{}
	_, err = db.Publish(t.Context(), "E3", many, pgcallback.Change{})
	require.ErrorContains(t, err, "more than 10000 files or 67108864 bytes")

	half := &fstest.MapFile{Data: make([]byte, pgcallback.MaxBytes/2+1)}
	_, err = db.Publish(t.Context(), "E3", fstest.MapFS{"callbacks/a.js": half, "callbacks/b.js": half}, pgcallback.Change{})
	require.ErrorContains(t, err, "more than 10000 files or 67108864 bytes")

	versions, err := db.Versions(t.Context(), "E3", 10)
	require.NoError(t, err)
	require.Len(t, versions, 1)
}

func TestPublishAtOnce(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	var publishers sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		publishers.Go(func() {
			tree := scripts("1")
			for j := range 20 { // shared by all, in no order
				tree[fmt.Sprintf("modules/M%d.js", j)] = &fstest.MapFile{Data: fmt.Appendf(nil, "// %d", j)}
			}
			_, errs[i] = db.Publish(t.Context(), fmt.Sprintf("E%d", i%4), tree, pgcallback.Change{})
		})
	}
	publishers.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func TestVersionByName(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ids := publish(t, db, "1", "2")
	_, err := db.Promote(t.Context(), "E3", "live", ids[0], pgcallback.Change{})
	require.NoError(t, err)
	for _, test := range []struct{ name, ref, want string }{
		{"stage", "live", ids[0]},
		{"ID", ids[1], ids[1]},
		{"beginning", ids[1][:8], ids[1]},
		{"short", ids[1][:3], ""},
		{"empty", "", ""},
		{"unknown", "nosuch", ""},
		{"wildcard", "%%%%", ""},
		{"zero byte", ids[1] + "\x00", ""},
	} {
		v, err := db.Version(t.Context(), "E3", test.ref)
		if test.want == "" {
			require.ErrorIs(t, err, pgcallback.ErrNoVersion, test.name)
			continue
		}
		require.NoError(t, err, test.name)
		require.Equal(t, test.want, v.ID, test.name)
	}
	_, err = db.Version(t.Context(), "E4", ids[0])
	require.ErrorIs(t, err, pgcallback.ErrNoVersion, "another API key's")

	_, err = db.Pool.Exec(t.Context(), `insert into callback.version (api_key, id, author, message, report)
		values ('E3', 'abcd1', '', '', '[]'), ('E3', 'abcd2', '', '', '[]')`)
	require.NoError(t, err)
	_, err = db.Version(t.Context(), "E3", "abcd")
	require.ErrorContains(t, err, `"abcd" begins 2 versions`)
}

func TestPromoteAndRollback(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ids := publish(t, db, "1", "2", "3", "4")
	names := map[string]string{"": "none"}
	for i, id := range ids {
		names[id] = fmt.Sprint(i + 1)
	}
	steps := []struct{ do, want string }{
		{"rollback", "no such stage"},
		{"1", "1 before none"},
		{"rollback", "no version before this one"},
		{"2", "2 before 1"},
		{"3", "3 before 2"},
		{"3", "3 before 2"}, // again
		{"rollback", "2 before 1"},
		{"rollback", "1 before none"},
		{"rollback", "no version before this one"},
		{"4", "4 before 1"},
		{"rollback", "1 before none"},
		{"2", "2 before 1"},
		{"1", "1 before 2"}, // a version for the second time
		{"rollback", "2 before 1"},
		{"rollback", "1 before none"},
		{"rollback", "no version before this one"},
		{"2", "2 before 1"},
	}
	for i, step := range steps {
		change := pgcallback.Change{Author: "ann", Message: fmt.Sprint(i)}
		var p *pgcallback.Promotion
		var err error
		if step.do == "rollback" {
			p, err = db.Rollback(t.Context(), "E3", "live", change)
		} else {
			p, err = db.Promote(t.Context(), "E3", "live", ids[step.do[0]-'1'], change)
		}
		if err != nil {
			require.ErrorContains(t, err, step.want, "step %d", i)
			continue
		}
		require.Equal(t, step.want, names[p.Version]+" before "+names[p.Previous], "step %d", i)
		v, err := db.Version(t.Context(), "E3", "live")
		require.NoError(t, err)
		require.Equal(t, p.Version, v.ID)
		require.Equal(t, []string{"live"}, v.Stages)
	}
	promotions, err := db.Promotions(t.Context(), "E3", "", 100)
	require.NoError(t, err)
	require.Len(t, promotions, 13, "what failed is not in the history")
	require.Equal(t, "ann", promotions[0].Author)
	require.Equal(t, "16", promotions[0].Message)
	require.Equal(t, "2 before 1", names[promotions[0].Version]+" before "+names[promotions[0].Previous])

	_, err = db.Promote(t.Context(), "E3", "live", ids[2], pgcallback.Change{Current: ids[0]})
	require.ErrorIs(t, err, pgcallback.ErrMoved)
	_, err = db.Promote(t.Context(), "E3", "live", ids[2], pgcallback.Change{Current: ids[1]})
	require.NoError(t, err)
	_, err = db.Promote(t.Context(), "E3", "a stage", ids[2], pgcallback.Change{})
	require.ErrorContains(t, err, "1 to 64 of")
	_, err = db.Promote(t.Context(), "E3", strings.Repeat("a", 65), ids[2], pgcallback.Change{})
	require.ErrorContains(t, err, "1 to 64 of")
	_, err = db.Promote(t.Context(), "E4", "live", ids[2], pgcallback.Change{})
	require.ErrorIs(t, err, pgcallback.ErrNoVersion)
}

// Promotions of the schema that named the previous version only.
func TestRollbackAfterTheThirdMigration(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ids := publish(t, db, "1", "2")
	for _, id := range []string{ids[0], ids[1], ids[0]} {
		_, err := db.Promote(t.Context(), "E3", "live", id, pgcallback.Change{})
		require.NoError(t, err)
	}
	_, err := db.Pool.Exec(t.Context(), `
		alter table callback.promotion add column previous text not null default '';
		update callback.promotion p set previous = b.version from callback.promotion b where b.revision = p.back;
		alter table callback.promotion drop column back;
		delete from callback.migration where version = 3`)
	require.NoError(t, err)
	require.NoError(t, db.Migrate(t.Context()))
	for _, want := range []string{ids[1], ids[0]} {
		p, err := db.Rollback(t.Context(), "E3", "live", pgcallback.Change{})
		require.NoError(t, err)
		require.Equal(t, want, p.Version)
	}
	_, err = db.Rollback(t.Context(), "E3", "live", pgcallback.Change{})
	require.ErrorIs(t, err, pgcallback.ErrNothingBefore)
}

func TestRollbackAtOnce(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ids := publish(t, db, "1", "2", "3")
	for _, id := range ids {
		_, err := db.Promote(t.Context(), "E3", "live", id, pgcallback.Change{})
		require.NoError(t, err)
	}
	var operators sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		operators.Go(func() {
			_, errs[i] = db.Rollback(t.Context(), "E3", "live", pgcallback.Change{Current: ids[2]})
		})
	}
	operators.Wait()
	v, err := db.Version(t.Context(), "E3", "live")
	require.NoError(t, err)
	require.Equal(t, ids[1], v.ID)
	require.NotEqual(t, errs[0] == nil, errs[1] == nil, "%v", errs)
}

func TestDiff(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	from, err := db.Publish(t.Context(), "E3", fstest.MapFS{
		"callbacks/hello.js": {Data: []byte("1\n2\n3\n4\n5\n6\n7\n8\n9\n")},
		"modules/GONE.js":    {Data: []byte("gone")},
		"modules/SAME.js":    {Data: []byte("same")},
	}, pgcallback.Change{})
	require.NoError(t, err)
	to, err := db.Publish(t.Context(), "E3", fstest.MapFS{
		"callbacks/hello.js": {Data: []byte("1\n2\n3\n4\nfive\n6\n7\n8\n9\n")},
		"modules/NEW.js":     {Data: []byte("// new\n")},
		"modules/SAME.js":    {Data: []byte("same")},
	}, pgcallback.Change{})
	require.NoError(t, err)
	changes, err := db.Diff(t.Context(), "E3", from.ID, to.ID[:6])
	require.NoError(t, err)
	var text strings.Builder
	for _, c := range changes {
		text.WriteString(c.Unified())
	}
	require.Equal(t, `--- callbacks/hello.js
+++ callbacks/hello.js
@@ -2,7 +2,7 @@
 2
 3
 4
-5
+five
 6
 7
 8
--- modules/GONE.js
+++ /dev/null
@@ -1,1 +0,0 @@
-gone
\ No newline at end of file
--- /dev/null
+++ modules/NEW.js
@@ -0,0 +1,1 @@
+// new
`, text.String())

	changes, err = db.Diff(t.Context(), "E3", "", to.ID)
	require.NoError(t, err)
	require.Len(t, changes, 3)
	_, err = db.Diff(t.Context(), "E3", "live", to.ID)
	require.ErrorIs(t, err, pgcallback.ErrNoVersion)
}
