package allocator

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"sync"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// answers are what each node's agent was last answered that is wanted of it. Most
// of what happens to a NIC on the move changes nothing of that for a node that has
// been told ahead, and to ask costs it time just when the NIC arrives.
type answers struct {
	mu   sync.Mutex
	last map[string]answer // by node
}

// An answer is a list that an agent has asked for.
type answer struct {
	session uint64
	rev     store.Rev // it is of that one, or later
	sum     [sha256.Size]byte
	// unsure: two questions have crossed, and nobody knows which answer the agent
	// goes by.
	unsure bool
}

func newAnswers() *answers { return &answers{last: map[string]answer{}} }

// note remembers an answer, unless a newer one has been given.
func (s *answers) note(node string, session uint64, rev store.Rev, list []nic.Wanted) {
	now := answer{session: session, rev: rev}
	var ok bool
	now.sum, ok = sumOf(list)
	now.unsure = !ok
	s.mu.Lock()
	defer s.mu.Unlock()
	was, known := s.last[node]
	switch {
	case known && was.session > session:
		return
	case known && was.session == session && was.rev >= rev && was.sum != now.sum:
		now.rev, now.unsure = was.rev, true
	}
	s.last[node] = now
}

// of is the answer that the session's agent goes by, if it has been given here since
// the revision that the agent was told of last: before, another controller may have
// answered it.
func (s *answers) of(node string, session uint64, since store.Rev) (sum [sha256.Size]byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, known := s.last[node]
	return a.sum, known && !a.unsure && session != 0 && a.session == session && a.rev >= since
}

// isAnswered says whether the agent that calls knows what is wanted of its node now:
// it has been told of the revision, and has asked since. In doubt it does not.
func (a *Allocator) isAnswered(ctx context.Context, node string, told store.Rev) bool {
	sum, ok := a.answers.of(node, api.SessionOf(ctx), told)
	if !ok {
		return false
	}
	list, _, err := a.listWanted(ctx, node)
	if err != nil {
		return false
	}
	now, ok := sumOf(list)
	return ok && now == sum
}

func sumOf(list []nic.Wanted) (sum [sha256.Size]byte, ok bool) {
	text, err := json.Marshal(list)
	return sha256.Sum256(text), err == nil
}
