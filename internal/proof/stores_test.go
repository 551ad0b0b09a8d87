package proof

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/store"
)

// A lagging store takes a moment for everything, so that its users overtake
// each other, in an order that a seed decides; and some of its commits fail,
// or take place and say that they may not have.
type lagging struct {
	store.Store
	mu    sync.Mutex
	rand  *rand.Rand
	fails int // of 100 commits
}

func lag(s store.Store, seed uint64, fails int) *lagging {
	return &lagging{Store: s, rand: rand.New(rand.NewPCG(seed, 1)), fails: fails}
}

var (
	errNotWritten = errors.New("the disk is full for now")
	errMayBe      = errors.New("the outcome is unknown")
)

func (l *lagging) pause(ctx context.Context) (chance int, err error) {
	l.mu.Lock()
	d, chance := time.Duration(l.rand.IntN(1000))*time.Microsecond, l.rand.IntN(200)
	l.mu.Unlock()
	select {
	case <-time.After(d):
		return chance, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (l *lagging) Get(ctx context.Context, key string) (store.Record, error) {
	if _, err := l.pause(ctx); err != nil {
		return store.Record{}, err
	}
	return l.Store.Get(ctx, key)
}

func (l *lagging) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	chance, err := l.pause(ctx)
	switch {
	case err != nil:
		return 0, err
	case chance < l.fails:
		return 0, errNotWritten
	}
	rev, err := l.Store.Commit(ctx, ops...)
	if _, late := l.pause(context.WithoutCancel(ctx)); late != nil {
		return 0, late
	}
	if err == nil && chance < 2*l.fails {
		return 0, errMayBe
	}
	return rev, err
}

// A careless store has its compare switched off: it writes whatever it is told
// and checks nothing.
type careless struct{ store.Store }

func (c careless) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	for {
		var writes []store.Op
		for _, op := range ops {
			r, err := c.Store.Get(ctx, op.Key)
			switch {
			case err != nil && !errors.Is(err, store.ErrNotFound):
				return 0, err
			case op.Kind == store.OpCheck || op.Kind == store.OpDelete && err != nil:
				continue
			}
			op.Expect = r.Rev // 0 without a record
			writes = append(writes, op)
		}
		rev, err := c.Store.Commit(ctx, writes...)
		if !errors.Is(err, store.ErrConflict) {
			return rev, err
		}
	}
}
