package board

import (
	"context"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// progressEvery is how long after a commit of a task's progress the next words are
// passed over: whoever says more has said more soon.
const progressEvery = 500 * time.Millisecond

// heardEvery is how often a sign of life without news is noted.
const heardEvery = 2 * time.Second

// Progress notes how far a task is that the session has begun; total is 0 where it
// is not known. Without either it is a sign of life and no more. What comes too soon
// after the last, or after the end, is passed over.
func (b *Board) Progress(ctx context.Context, id nic.TaskID, node string, session uint64, bytes, total int64) error {
	if err := checkID(id); err != nil {
		return err
	}
	if bytes < 0 || total < 0 {
		return &api.Error{Code: api.CodeInvalid, Field: "body.bytes", Message: "the progress of a task is not negative"}
	}
	by := teller{node, session}
	if b.pace.soon(id, by, b.now()) {
		return nil
	}
	_, err := b.change(ctx, node, id, func(t *nic.Task) ([]store.Op, bool, error) {
		newest, err := b.running(ctx, t, session)
		news := (bytes > 0 || total > 0) && (t.Bytes != bytes || t.Total != total)
		changed := err == nil && !t.State.Over() && (news || !within(b.now(), t.Heard, heardEvery))
		if changed {
			t.Heard = b.now()
		}
		if changed && news {
			t.Bytes, t.Total = bytes, total
		}
		return []store.Op{newest}, changed, err
	})
	if err == nil {
		b.pace.note(id, by, b.now())
	}
	return err
}

// maxPaced is how many tasks' last words are remembered; of more, the old ones go.
const maxPaced = 1024

// pace remembers whose progress was noted just now. The zero value is useful.
type pace struct {
	mu   sync.Mutex
	last map[nic.TaskID]told
}

// A teller is who says how far a task is.
type teller struct {
	node    string
	session uint64
}

type told struct {
	by teller
	at time.Time
}

// soon says whether that teller's words were noted just now. Another's have to be
// judged.
func (p *pace) soon(id nic.TaskID, by teller, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, ok := p.last[id]
	return ok && last.by == by && within(now, last.at, progressEvery)
}

// within says whether now is less than d after then. A clock that was put back makes
// nobody silent: what is to come was long ago.
func within(now, then time.Time, d time.Duration) bool {
	since := now.Sub(then)
	return since >= 0 && since < d
}

func (p *pace) note(id nic.TaskID, by teller, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = map[nic.TaskID]told{}
	}
	p.last[id] = told{by, now}
	if len(p.last) <= maxPaced {
		return
	}
	for id, last := range p.last {
		if !within(now, last.at, progressEvery) {
			delete(p.last, id)
		}
	}
}

func (p *pace) forget(id nic.TaskID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.last, id)
}
