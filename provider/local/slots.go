package local

import (
	"context"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// lookAgain is how old a look at all NICs may be. Of what this controller has done since
// nothing is missed.
const lookAgain = 5 * time.Minute

// slots remembers which NICs take a slot of which node, so that a claim does not read
// every NIC that there is. It learns from all that this controller does and looks at,
// and what another does at the next look: between two leaders the limit is only a
// guard.
type slots struct {
	mu     sync.Mutex // guards what follows
	looked time.Time  // at all that there were
	// told is when the caller has said what is on an instance, since that look.
	told map[nic.InstanceID]time.Time
	at   map[nic.ID]nic.InstanceID
	on   map[nic.InstanceID]int
	// seq counts what was learnt; learnt is when each NIC was, since the oldest full
	// look that is still under way began.
	seq    uint64
	looks  int
	learnt map[nic.ID]uint64
}

func newSlots() *slots {
	return &slots{
		told: map[nic.InstanceID]time.Time{}, at: map[nic.ID]nic.InstanceID{}, on: map[nic.InstanceID]int{}, learnt: map[nic.ID]uint64{},
	}
}

// learn notes that the NIC takes a slot of the instance, or none for "".
func (s *slots) learn(id nic.ID, at nic.InstanceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(id, at)
}

// take has the NIC take a slot of the instance, if no more than most are taken then by
// what is remembered, and that is worth something.
func (s *slots) take(id nic.ID, at nic.InstanceID, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.fresh(at) || s.on[at] >= most {
		return false
	}
	s.note(id, at)
	return true
}

// note is learn for who holds the lock.
func (s *slots) note(id nic.ID, at nic.InstanceID) {
	s.seq++
	if s.looks > 0 {
		s.learnt[id] = s.seq
	}
	s.put(id, at)
}

// fresh says whether what is remembered of the instance is worth something. The caller
// holds the lock.
func (s *slots) fresh(at nic.InstanceID) bool {
	of := s.looked
	if told := s.told[at]; told.After(of) {
		of = told
	}
	return !of.IsZero() && time.Since(of) < lookAgain
}

// knows is fresh for who does not hold the lock.
func (s *slots) knows(at nic.InstanceID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fresh(at)
}

// tell notes what takes slots of the instance by the word of who has the records. What
// is known to be elsewhere is newer than that word.
func (s *slots) tell(at nic.InstanceID, ids []nic.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[at] = time.Now()
	for _, id := range ids {
		if s.at[id] == "" {
			s.put(id, at)
		}
	}
}

// put is learn for who holds the lock.
func (s *slots) put(id nic.ID, at nic.InstanceID) {
	was := s.at[id]
	if was == at {
		return
	}
	if was != "" {
		delete(s.at, id)
		if s.on[was]--; s.on[was] == 0 {
			delete(s.on, was)
		}
	}
	if at != "" {
		s.at[id] = at
		s.on[at]++
	}
}

// see is learn for what a look at the NIC has shown.
func (s *slots) see(seen nic.Seen) { s.learn(seen.NIC, slotOf(seen)) }

// slotOf is the instance of which the NIC takes a slot; "" for none.
func slotOf(seen nic.Seen) nic.InstanceID {
	if seen.State == nic.StateAttached || seen.State == nic.StateDetaching {
		return seen.Place.Instance
	}
	return ""
}

// look reads all NICs with list, and forgets all but them. What is learnt meanwhile of
// one is newer than what list tells of it.
func (s *slots) look(ctx context.Context, list func(context.Context) ([]nic.Seen, error)) ([]nic.Seen, error) {
	s.mu.Lock()
	s.looks++
	began := s.seq
	s.mu.Unlock()
	all, err := list(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.replace(all, began)
	}
	if s.looks--; s.looks == 0 {
		clear(s.learnt)
	}
	return all, err
}

// replace takes a look that began at the count. The caller holds the lock.
func (s *slots) replace(all []nic.Seen, began uint64) {
	before := s.at
	s.at, s.on, s.looked = make(map[nic.ID]nic.InstanceID, len(all)), map[nic.InstanceID]int{}, time.Now()
	clear(s.told)
	for _, seen := range all {
		s.put(seen.NIC, slotOf(seen))
	}
	for id, at := range s.learnt {
		if at > began {
			s.put(id, before[id])
		}
	}
}

// used is how many are taken on the instance, and whether that is worth something.
func (s *slots) used(instance nic.InstanceID) (n int, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on[instance], s.fresh(instance)
}
