package allocator_test

import (
	"log/slog"
	"testing"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store/memstore"
)

func TestHealthIsTheStores(t *testing.T) {
	records := memstore.New(memstore.Options{})
	a, err := allocator.New(allocator.Options{Store: records, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Health(t.Context()); err != nil {
		t.Errorf("with a store that answers: %v", err)
	}
	records.Close()
	if err := a.Health(t.Context()); err == nil {
		t.Error("with a store that is closed: no error")
	}
}
