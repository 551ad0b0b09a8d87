package aws

import (
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// recent is what this process has just done to NICs, for as long as EC2 may not
// show it. It is never needed: whoever starts anew waits a little longer.
type recent struct {
	mu    sync.Mutex
	all   map[nic.ID]deeds
	swept time.Time
}

// deeds are what was done to one NIC.
type deeds struct {
	made       iface // as EC2 answered
	madeAt     time.Time
	shown      bool      // EC2 has shown it since
	place      nic.Place // of the last attach
	attachedAt time.Time // zero once it was detached
	detached   string    // the attachment that was ended
	mended     string    // the attachment that was told to go with its instance
	mendNext   time.Time // when it is told again, should it not show
	triedAt    time.Time // a create without an answer
	unchecked  bool      // source and destination are not checked any more
	deletedAt  time.Time
	last       time.Time
}

func (d deeds) deleted() bool { return time.Since(d.deletedAt) < visibleAfter }

// young says whether the NIC was made by us so lately that EC2 may hide it.
func (d deeds) young() bool { return time.Since(d.madeAt) < visibleAfter && !d.deleted() }

func (r *recent) of(id nic.ID) deeds {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[id]
}

func (r *recent) note(id nic.ID, change func(*deeds)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.all == nil {
		r.all = map[nic.ID]deeds{}
	}
	d := r.all[id]
	change(&d)
	d.last = now
	r.all[id] = d
	if now.Sub(r.swept) < visibleAfter {
		return
	}
	r.swept = now
	for id, d := range r.all {
		if now.Sub(d.last) > visibleAfter {
			delete(r.all, id)
		}
	}
}

func (r *recent) made(id nic.ID, f iface) {
	r.note(id, func(d *deeds) {
		if d.madeAt.IsZero() {
			d.madeAt = time.Now()
		}
		d.made = f
	})
}

// shown notes that EC2 shows what we have made.
func (r *recent) shown(id nic.ID) {
	if d := r.of(id); d.made.id != "" && !d.shown {
		r.note(id, func(d *deeds) { d.shown = true })
	}
}

func (r *recent) attached(id nic.ID, place nic.Place) {
	r.note(id, func(d *deeds) { d.place, d.attachedAt = place, time.Now() })
}

func (r *recent) ended(id nic.ID, attachment string) {
	r.note(id, func(d *deeds) { d.detached, d.attachedAt = attachment, time.Time{} })
}

func (r *recent) mended(id nic.ID, attachment string, done bool) {
	wait := retryMend
	if done {
		wait = mendAgain
	}
	r.note(id, func(d *deeds) { d.mended, d.mendNext = attachment, time.Now().Add(wait) })
}

func (r *recent) deleted(id nic.ID) { r.note(id, func(d *deeds) { d.deletedAt = time.Now() }) }

// retryYoung is when to ask again for what EC2 does not show yet.
const retryYoung = time.Second

// tried says whether a create went out lately that may have taken place.
func (d deeds) tried() bool { return time.Since(d.triedAt) < visibleAfter }
