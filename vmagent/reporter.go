package vmagent

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// reporter sends what the workers observe. Only the last word about a NIC is
// kept, and it is sent until the controller has taken it.
type reporter struct {
	opts Options
	some chan struct{}
	// stale is told when a report was refused as such; set before run.
	stale func()
	// afresh says that what is wanted was read since.
	afresh chan struct{}

	mu     sync.Mutex
	unsent map[nic.ID]nic.Observed
	sent   map[nic.ID]nic.Observed
	census *nic.Census // the last one, until it is sent
	// cards are the node's, until they are sent; knownCards what the controller was told
	// last, and when.
	cards      *[]nic.Card
	knownCards []nic.Card
	cardsSent  time.Time
}

func newReporter(opts Options) *reporter {
	return &reporter{
		opts: opts, some: make(chan struct{}, 1), afresh: make(chan struct{}, 1),
		unsent: map[nic.ID]nic.Observed{}, sent: map[nic.ID]nic.Observed{},
	}
}

// say has o sent, unless it is what was sent last, and reports whether it puts
// the NIC into another state. A condition without a beginning began when it was
// first said.
func (r *reporter) say(o nic.Observed) (moved bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.At = time.Now().UTC()
	last, ok := r.unsent[o.NIC]
	if !ok {
		last = r.sent[o.NIC]
	}
	began(o.Conditions, last.Conditions, o.At)
	moved = last.State != o.State
	if sent, ok := r.sent[o.NIC]; ok && o.Repeats(sent) {
		delete(r.unsent, o.NIC)
		return moved
	}
	r.unsent[o.NIC] = o
	r.wake()
	return moved
}

// last is what was said last of a wanted NIC in this turn of it.
func (r *reporter) last(w nic.Wanted) (nic.Observed, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, ok := r.unsent[w.NIC]
	if !ok {
		o, ok = r.sent[w.NIC]
	}
	o.Conditions = slices.Clone(o.Conditions)
	return o, ok && o.Claim == w.Claim && o.Epoch == w.Epoch && o.Turn == w.Turn
}

// count has a census sent, instead of an older one that has not been sent yet.
func (r *reporter) count(c nic.Census) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.census = &c
	r.wake()
}

func (r *reporter) wake() {
	select {
	case r.some <- struct{}{}:
	default:
	}
}

// began fills in since when the conditions without a beginning are there.
func began(conditions, before []nic.Condition, now time.Time) {
	for i := range conditions {
		c := &conditions[i]
		if !c.Since.IsZero() {
			continue
		}
		c.Since = now
		for _, b := range before {
			if b.Reason == c.Reason {
				c.Since = b.Since
			}
		}
	}
}

// again has what is left to be said sent, after a report that was refused as stale.
func (r *reporter) again() {
	select {
	case r.afresh <- struct{}{}:
	default:
	}
}

// keepOnly forgets what was said of NICs that have no wish any more, or one for
// another claim or a later epoch.
func (r *reporter) keepOnly(wanted []nic.Wanted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wishes := map[nic.ID]nic.Wanted{}
	for _, w := range wanted {
		wishes[w.NIC] = w
	}
	unwished := func(id nic.ID, o nic.Observed) bool {
		w, wished := wishes[id]
		return !wished || o.Claim != w.Claim || o.Epoch != w.Epoch
	}
	maps.DeleteFunc(r.sent, unwished)
	maps.DeleteFunc(r.unsent, unwished)
}

// run sends until ctx ends, or the session is over.
func (r *reporter) run(ctx context.Context, session uint64) error {
	backoff := retry.Backoff{First: 50 * time.Millisecond, Max: 5 * time.Second}
	for { // first what an earlier session did not get through
		err := r.flush(ctx, session)
		switch {
		case err == nil:
			backoff.Reset()
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-r.some:
			}
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case r.opts.Superseded(err): // it says nothing more of that, or is over
			r.stale()
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-r.afresh:
			}
			continue
		}
		r.opts.Log.Warn("report not taken, will send it again", "err", err)
		if err := retry.Sleep(ctx, backoff.Next()); err != nil {
			return err
		}
	}
}

func (r *reporter) flush(ctx context.Context, session uint64) error {
	r.mu.Lock()
	batch, census, cards := maps.Clone(r.unsent), r.census, r.cards
	r.mu.Unlock()
	if len(batch) == 0 && census == nil && cards == nil {
		return nil
	}
	report := nic.NodeReport{Session: session, Census: census, Cards: cards}
	for _, o := range batch {
		report.NICs = append(report.NICs, sentNow(o))
	}
	if err := r.opts.Controller.Report(ctx, r.opts.Node, report); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.census == census {
		r.census = nil
	}
	if cards != nil {
		r.noteCards(*cards)
	}
	if r.cards == cards {
		r.cards = nil
	}
	for id, o := range batch {
		r.sent[id] = o
		if now, ok := r.unsent[id]; ok && now.Repeats(o) {
			delete(r.unsent, id)
		}
	}
	return nil
}
