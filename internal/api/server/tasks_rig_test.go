package server_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/board"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

const move nic.MoveID = "mov-0123456789abcdef"

// orders are a board on a store of its own, where session 1 is the newest of n1
// and n3.
type orders struct {
	*board.Board
	store store.Store
	given atomic.Int64
}

func newOrders(t *testing.T) *orders {
	t.Helper()
	records := memstore.New(memstore.Options{})
	t.Cleanup(func() { records.Close() })
	for _, name := range []string{"n1", "n3"} {
		op, err := store.CreateJSON("node/"+name, nic.Node{Name: name, Session: 1})
		if err == nil {
			_, err = records.Commit(t.Context(), op)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return &orders{Board: board.New(board.Options{Store: records, Log: slog.New(slog.DiscardHandler)}), store: records}
}

// give orders a node something.
func (o *orders) give(t *testing.T, node string) nic.TaskID {
	t.Helper()
	task := nic.Task{
		ID: nic.TaskID(fmt.Sprintf("%s.t%d", move, o.given.Add(1))), Node: node, Move: move,
		Kind: nic.TaskStop, Container: "c0ffee", Within: nic.Duration(time.Minute),
	}
	if err := o.Order(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	return task.ID
}

// begun is a task that session 1 has begun.
func (o *orders) begun(t *testing.T, node string) nic.TaskID {
	t.Helper()
	id := o.give(t, node)
	if _, err := o.Begin(t.Context(), id, node, 1); err != nil {
		t.Fatal(err)
	}
	return id
}
