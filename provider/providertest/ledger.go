package providertest

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nicferry/nicferry/provider"
)

// A Ledger is a provider.Ledger in memory that can be made to fail, to lose a
// reply, or to let something else happen at any of its calls. Make it with
// NewLedger.
type Ledger struct {
	mu      sync.Mutex
	records map[string][]byte
	calls   int
	before  map[int]func() error
	after   map[int]func() error
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{
		records: map[string][]byte{},
		before:  map[int]func() error{},
		after:   map[int]func() error{},
	}
}

// Before runs do once, before the effect of the nth call from now (1 is the
// next). If it returns an error, there is no effect and the caller gets it.
func (l *Ledger) Before(n int, do func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before[l.calls+n] = do
}

// After runs do once, after the effect of the nth call from now. If it returns
// an error, the caller gets that in place of the reply.
func (l *Ledger) After(n int, do func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.after[l.calls+n] = do
}

// Forget drops what Before and After have planned.
func (l *Ledger) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.before)
	clear(l.after)
}

// Records returns a copy of everything in the ledger.
func (l *Ledger) Records() map[string][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.records)
}

// WantEmpty wants that nothing is on record; when says after what.
func (l *Ledger) WantEmpty(t *testing.T, when string) {
	t.Helper()
	if left := l.Records(); len(left) > 0 {
		t.Errorf("%s: left on record: %q", when, slices.Sorted(maps.Keys(left)))
	}
}

// Put implements provider.Ledger.
func (l *Ledger) Put(ctx context.Context, key string, value []byte) (now []byte, stored bool, err error) {
	err = l.call(ctx, func() error {
		if old, ok := l.records[key]; ok {
			now = bytes.Clone(old)
			return nil
		}
		l.records[key] = append([]byte{}, value...)
		now, stored = bytes.Clone(value), true
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return now, stored, nil
}

// Get implements provider.Ledger.
func (l *Ledger) Get(ctx context.Context, key string) (value []byte, err error) {
	err = l.call(ctx, func() error {
		old, ok := l.records[key]
		if !ok {
			return provider.ErrNotFound
		}
		value = bytes.Clone(old)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

// List implements provider.Ledger.
func (l *Ledger) List(ctx context.Context, prefix string) (map[string][]byte, error) {
	found := map[string][]byte{}
	err := l.call(ctx, func() error {
		for key, value := range l.records {
			if strings.HasPrefix(key, prefix) {
				found[key] = bytes.Clone(value)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Delete implements provider.Ledger.
func (l *Ledger) Delete(ctx context.Context, key string) error {
	return l.call(ctx, func() error {
		delete(l.records, key)
		return nil
	})
}

// call counts, runs what is planned for this call without the lock, so that it
// may call the ledger itself, and the effect with it.
func (l *Ledger) call(ctx context.Context, effect func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	l.calls++
	before, after := l.before[l.calls], l.after[l.calls]
	delete(l.before, l.calls)
	delete(l.after, l.calls)
	l.mu.Unlock()

	if before != nil {
		if err := before(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	err := effect()
	l.mu.Unlock()
	if after != nil {
		if lost := after(); lost != nil {
			return lost
		}
	}
	return err
}
