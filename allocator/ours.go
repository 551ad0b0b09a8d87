package allocator

import (
	"bytes"
	"reflect"
	"sync"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// ours are records that this controller, which leads, has encoded for a commit, and what
// of: when the watch brings the same bytes, they need not be decoded.
type ours struct {
	mu  sync.Mutex
	all map[string]encoded // by key
}

// An encoded record is what a value was encoded to: a pointer, to what nobody changes.
type encoded struct {
	text  []byte
	value any
}

func newOurs() *ours { return &ours{all: map[string]encoded{}} }

func (o *ours) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.all)
}

// expect notes what is about to be committed. It is forgotten when it is seen, or by end.
func (o *ours) expect(records []written) (end func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range records {
		o.all[r.key] = r.encoded
	}
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, r := range records {
			if bytes.Equal(o.all[r.key].text, r.text) {
				delete(o.all, r.key)
			}
		}
	}
}

// know tells the events what they are of, where that is known.
func (o *ours) know(events []store.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, e := range events {
		it, known := o.all[e.Key]
		if !known {
			continue
		}
		if bytes.Equal(it.text, e.Value) {
			events[i].Know(it.value)
		}
		delete(o.all, e.Key)
	}
}

// A written record is one that an edit has put.
type written struct {
	key string
	encoded
}

// write notes what a record was encoded of. What edits change in place is copied.
func (e *edit) write(op store.Op, v any) {
	if !e.keeps {
		return
	}
	switch v.(type) {
	case nic.Claim, nic.NIC, nic.Reservation: // all that others say has been decoded there
	default:
		return
	}
	p := reflect.New(reflect.TypeOf(v))
	p.Elem().Set(reflect.ValueOf(v))
	e.glances.encoder.separate(p.Elem())
	e.wrote = append(e.wrote, written{op.Key, encoded{op.Value, p.Interface()}})
}
