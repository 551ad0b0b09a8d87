package allocator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// An edit is one read-decide-commit round. Everything that was read and
// mattered is written or checked at the revision it was read at, so that a
// commit which passes was decided on the truth.
type edit struct {
	clock
	ctx     context.Context
	store   store.Store
	glances *glances
	ops     []store.Op
	// fences are checked along with ops, if there are any.
	fences []store.Op
	// undo takes back what was done in memory along with ops, if they are not
	// committed.
	undo []func()
	// keeps has what is read and written remembered, for the news of the commit.
	keeps         bool
	read, written []remembered
	wrote         []written
	// after is what is done once ops are committed, at the revision.
	after []func(store.Rev)
	// holder is who has what the edit's claim was refused.
	holder nic.ClaimID
	// spare is the NIC in reserve whose MAC the edit's claim gets, if it gets one's.
	spare nic.ID
	// round counts how often it has been decided before.
	round int
	// bold: see embolden.
	bold bool
	// termed: the commit fails once the term is over.
	termed bool
	// turns are the nodes whose turn the edit has; see seating.
	turns []string
}

// rollBack ends an edit that is not committed.
func (e *edit) rollBack() {
	for _, undo := range e.undo {
		undo()
	}
	e.undo, e.after = nil, nil
}

// committed does what was to be done after it.
func (e *edit) committed(at store.Rev) {
	for _, then := range e.after {
		then(at)
	}
}

// maxRounds bounds how often a round is repeated because another writer was
// quicker. With optimistic commits somebody always gets through, so many
// repeats mean something is wrong.
const maxRounds = 50

// atomically runs decide and commits what it has put into the edit, again from
// the start if a record it relied on has changed meanwhile.
func (a *Allocator) atomically(ctx context.Context, decide func(*edit) error) error {
	var err error
	for round := range maxRounds {
		e := a.reader(ctx)
		e.keeps, e.round = true, round
		err = decide(e)
		switch {
		case e.bold && (err != nil || len(e.ops) == 0):
			e.rollBack()
			continue
		case err != nil:
		case len(e.ops) == 0:
			e.rollBack()
		default:
			var at store.Rev
			end, forget := func(store.Rev) {}, func() {}
			if a.leading() {
				end, forget = a.unserved.writes(e.written), a.ours.expect(e.wrote)
			}
			if at, err = a.opts.Store.Commit(ctx, slices.Concat(e.ops, e.fences)...); err == nil {
				e.committed(at)
			} else {
				forget()
			}
			end(at)
		}
		if err != nil {
			e.rollBack()
		} else if len(e.ops) > 0 {
			a.tell(e)
		}
		if !errors.Is(err, store.ErrConflict) { // decide's own: it read two records that do not go together
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("gave up after %d rounds: %w", maxRounds, err)
}

// asLeader is atomically for the leader's own work: the commit fails once the
// term is over.
func (a *Allocator) asLeader(ctx context.Context, decide func(*edit) error) error {
	return a.atomically(ctx, func(e *edit) error {
		if err := decide(e); err != nil || len(e.ops) == 0 {
			return err
		}
		e.leadBy(a.term)
		end := a.spares.writes(e.written)
		e.undo, e.after = append(e.undo, func() { end(0) }), append(e.after, end)
		return nil
	})
}

// leadBy has the commit fail once the term is over.
func (e *edit) leadBy(term store.Term) {
	if !e.termed {
		e.termed, e.fences = true, append(e.fences, term.Check())
	}
}

// get reads a record; found is false if there is none.
func get[T any](e *edit, key string) (v T, rev store.Rev, found bool, err error) {
	known, rev, err := glimpse[T](e, key)
	if known == nil {
		return v, rev, false, err
	}
	return take(e, key, known), rev, true, nil
}

// take makes what was glimpsed the edit's own: what get returns.
func take[T any](e *edit, key string, known *T) T {
	if e.keeps {
		switch any(known).(type) {
		case *nic.Claim, *nic.NIC, *nic.Publication, *nic.Node, *nic.Observed:
			e.read = append(e.read, remembered{key, known})
		}
	}
	return own(&e.glances.copier, *known)
}

// reader is an edit that only reads.
func (a *Allocator) reader(ctx context.Context) *edit {
	return &edit{clock: a.clock, ctx: ctx, store: a.opts.Store, glances: a.glances}
}

func (e *edit) create(key string, v any)                { e.put(key, v, 0) }
func (e *edit) update(key string, v any, rev store.Rev) { e.put(key, v, rev) }
func (e *edit) delete(key string, rev store.Rev)        { e.ops = append(e.ops, store.Delete(key, rev)) }

func (e *edit) check(key string, rev store.Rev) { e.ops = append(e.ops, store.Check(key, rev)) }

func (e *edit) put(key string, v any, expect store.Rev) {
	text, err := nic.Encode(v)
	if err != nil { // our own types: a bug, not an input
		panic(fmt.Sprintf("encode %s: %v", key, err))
	}
	op := store.Update(key, text, expect)
	e.ops = append(e.ops, op)
	e.keep(key, v)
	e.write(op, v)
}

// drop deletes a record whatever its revision, if it is there.
func (e *edit) drop(key string) error {
	r, err := e.store.Get(e.ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	e.delete(key, r.Rev)
	return nil
}

// dropForGood is drop, and makes sure that nobody writes the record meanwhile: for what
// others only write while they see the record that goes along with it.
func (e *edit) dropForGood(key string) error {
	before := len(e.ops)
	err := e.drop(key)
	if err == nil && len(e.ops) == before {
		e.check(key, 0)
	}
	return err
}

// ensure puts a NIC's index record if it is not there.
func (e *edit) ensure(key string, id nic.ID) error {
	_, rev, _, err := get[nic.ID](e, key)
	e.update(key, id, rev)
	return err
}
