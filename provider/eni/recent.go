package eni

import (
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// retryYoung is when to ask again for what the cloud does not show yet.
const retryYoung = time.Second

// recent is what this process has just done to NICs, for as long as the cloud may
// not show it. It is never needed: whoever starts anew waits a little longer.
type recent struct {
	mu    sync.Mutex
	all   map[nic.ID]deeds
	swept time.Time
}

// deeds are what was done to one NIC.
type deeds struct {
	made       Interface // as the cloud answered
	madeAt     time.Time
	shown      bool      // the cloud has shown it since
	place      nic.Place // of the last attach
	attachedAt time.Time // zero once it was detached
	detached   string    // the attachment that was ended
	detachedAt time.Time // the last time
	mended     string    // the attachment whose interface was told to go with its instance
	mendNext   time.Time // when it is told again, should it not show
	triedAt    time.Time // a create without an answer
	fresh      time.Time // when it was placed for the first time, if nobody has asked for it since
	// view is what the cloud has last said of it, to a question of that time; actedAt is
	// when we have last asked for a change of it.
	view      Interface
	viewedAt  time.Time
	actedAt   time.Time
	unchecked bool // source and destination are not checked any more
	deletedAt time.Time
	gone      bool // the cloud has said so since
	last      time.Time
}

func (d deeds) deleted() bool { return time.Since(d.deletedAt) < visibleAfter }

// young says whether the NIC was made by us so lately that the cloud may hide it.
func (d deeds) young() bool { return time.Since(d.madeAt) < visibleAfter && !d.deleted() }

// tried says whether a create went out lately that may have taken place.
func (d deeds) tried() bool { return time.Since(d.triedAt) < visibleAfter }

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

func (r *recent) made(id nic.ID, f Interface) {
	r.note(id, func(d *deeds) {
		now := time.Now()
		if d.madeAt.IsZero() {
			d.madeAt = now
		}
		d.made, d.view, d.viewedAt = f, f, now
	})
}

// shown notes what the cloud shows of what we have made, to a question of that time.
func (r *recent) shown(f Interface, asked time.Time) {
	if r.of(f.nic()).made.ID != "" {
		r.note(f.nic(), func(d *deeds) { d.shown, d.view, d.viewedAt = true, f, asked })
	}
}

// freshFor is how long a look, and that nothing was made yet, is taken for what is so
// by whoever does the next step: the cloud's own answers may lag by more.
const freshFor = 5 * time.Second

// newFor is how long after it was placed a NIC is made without a look: much less than
// clouds keep its token.
const newFor = 30 * time.Second

// seen is what the cloud said of the NIC's interface a moment ago, where we have not asked
// for a change of it since.
func (d deeds) seen() (Interface, bool) {
	return d.view, d.view.ID != "" && !d.viewedAt.Before(d.actedAt) && time.Since(d.viewedAt) < freshFor && !d.deleted()
}

// acts notes that a change is asked for; end that it was. What the cloud said before that,
// or in between, is of no use afterwards.
func (r *recent) acts(id nic.ID) (end func()) {
	note := func() {
		r.note(id, func(d *deeds) { d.actedAt, d.fresh, d.view = time.Now(), time.Time{}, Interface{} })
	}
	note()
	return note
}

// placed notes that the NIC was placed, and with that planned, just now.
func (r *recent) placed(id nic.ID) {
	r.note(id, func(d *deeds) {
		if d.actedAt.IsZero() {
			d.fresh = time.Now()
		}
	})
}

// isNew says whether there can be nothing of the NIC at the cloud: it was placed a moment
// ago, by us, and whoever asks for it does so after that. Should another have, all the
// same, then the creation token finds it.
func (d deeds) isNew() bool { return time.Since(d.fresh) < newFor }

// attaches notes that the NIC is about to be plugged in there, whatever the answer will
// be: where attachments have no names, the one to come is called as one that was ended.
func (r *recent) attaches(id nic.ID, instance nic.InstanceID) {
	if r.of(id).detached == string(instance) {
		r.note(id, func(d *deeds) { d.detached = "" })
	}
}

func (r *recent) attached(id nic.ID, place nic.Place) {
	r.note(id, func(d *deeds) { d.place, d.attachedAt = place, time.Now() })
}

func (r *recent) ended(id nic.ID, attachment string) {
	r.note(id, func(d *deeds) { d.detached, d.detachedAt, d.attachedAt = attachment, time.Now(), time.Time{} })
}

func (r *recent) mended(id nic.ID, attachment string, done bool) {
	wait := retryMend
	if done {
		wait = mendAgain
	}
	r.note(id, func(d *deeds) { d.mended, d.mendNext = attachment, time.Now().Add(wait) })
}

func (r *recent) deleted(id nic.ID) { r.note(id, func(d *deeds) { d.deletedAt = time.Now() }) }

// gone notes that the cloud knows the NIC's interface no more, whatever it shows.
func (r *recent) gone(id nic.ID) {
	r.note(id, func(d *deeds) { d.deletedAt, d.gone = time.Now(), true })
}
