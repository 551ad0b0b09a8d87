package board_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/board"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const move nic.MoveID = "mov-0123456789abcdef"

// stores are all kinds of store there are.
var stores = map[string]func(*testing.T) store.Store{
	"memory": func(*testing.T) store.Store { return memstore.New(memstore.Options{}) },
	"bolt": func(t *testing.T) store.Store {
		s, err := boltstore.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), boltstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	},
}

// A rig is a board, and the store below it.
type rig struct {
	*board.Board
	t     *testing.T
	store store.Store
}

func open(t *testing.T, records store.Store) *rig {
	t.Helper()
	t.Cleanup(func() { records.Close() })
	return &rig{Board: board.New(board.Options{Store: records, Log: slog.New(slog.DiscardHandler)}), t: t, store: records}
}

// onEach runs a test on each kind of store.
func onEach(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	for name, make := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, make(t)))
		})
	}
}

// put writes a record, whatever is there.
func (r *rig) put(key string, v any) {
	r.t.Helper()
	rec, _ := r.store.Get(r.t.Context(), key)
	op, err := store.UpdateJSON(key, v, rec.Rev)
	if err == nil {
		_, err = r.store.Commit(r.t.Context(), op)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// node says which session of a node's agent is the newest.
func (r *rig) node(name string, session uint64) {
	r.put("node/"+name, nic.Node{Schema: nic.Schema, Name: name, Session: session, Phase: nic.NodeReady})
}

// order gives a task to vm1 and returns its id.
func (r *rig) order(word string, edit ...func(*nic.Task)) nic.TaskID {
	r.t.Helper()
	task := nic.Task{
		ID: nic.TaskID(move) + "." + nic.TaskID(word), Node: "vm1", Move: move, Seq: 1, Kind: nic.TaskStop,
		Container: "c0ffee", Within: nic.Duration(time.Minute),
	}
	for _, e := range edit {
		e(&task)
	}
	if err := r.Order(r.t.Context(), task); err != nil {
		r.t.Fatal(err)
	}
	return task.ID
}

// begun orders a task and begins it as session 1.
func (r *rig) begun(word string) nic.TaskID {
	r.t.Helper()
	id := r.order(word)
	if _, err := r.Begin(r.t.Context(), id, "vm1", 1); err != nil {
		r.t.Fatal(err)
	}
	return id
}

// revision is the store's.
func (r *rig) revision() store.Rev {
	r.t.Helper()
	_, rev, err := r.store.List(r.t.Context(), "none/", "", 1)
	if err != nil {
		r.t.Fatal(err)
	}
	return rev
}

// taskOf is the id of a move's task.
func taskOf(move nic.MoveID, word string) nic.TaskID { return nic.TaskID(string(move) + "." + word) }
