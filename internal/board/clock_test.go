package board_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/board"
	"github.com/nicferry/nicferry/internal/store/memstore"
)

// A clock that is put back makes no node silent.
func TestSignsOfLifeOnAClockThatIsPutBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	records := memstore.New(memstore.Options{})
	r := open(t, records)
	r.Board = board.New(board.Options{Store: records, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	r.node("vm1", 1)
	id := r.begun("start")
	for _, at := range []time.Duration{0, 3 * time.Second, -time.Hour, -time.Hour + 3*time.Second} {
		now = time.Date(2026, 1, 2, 3, 4, 10, 0, time.UTC).Add(at)
		before := r.revision()
		if err := r.Progress(t.Context(), id, "vm1", 1, 0, 0); err != nil {
			t.Fatal(err)
		}
		if r.revision() == before {
			t.Errorf("at %v: the sign of life is not noted", now)
		}
	}
}
