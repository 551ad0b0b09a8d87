// Package imds is the metadata service of the cloud in memory, as EC2's second
// version is, or as that of Alibaba Cloud's ECS.
package imds

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// A Source is what metadata can tell of instances now, as far as they lag
// behind or are stale: the model of the cloud.
type Source interface {
	// Guest returns a copy. An error is answered as the service's own.
	Guest(instance string) (cloudsim.Guest, error)
}

// Options are the parts of a Service.
type Options struct {
	Source Source // required
	// Dialect is the cloud's; optional: EC2().
	Dialect Dialect
	// Role is the name of an instance's role, or empty; optional.
	Role func(instance string) string
	// KeysLast is for how long a role's credentials hold; optional, 6 h. New ones
	// are given out KeysSpare before the old ones end; optional, 5 min.
	KeysLast, KeysSpare time.Duration
	// Tags: instances are told their tags.
	Tags bool
	// Optional: tokens are not needed, as where an instance's HttpTokens is
	// optional. One that is sent must be right.
	Optional bool
	// Rate and Burst bound each instance's requests: so many a second, and so
	// many at once. A Rate of 0 bounds nothing.
	Rate, Burst float64
	// HopLimit is the IP hop limit of answers by Listen; 0 leaves the kernel's.
	HopLimit int
	// Seed makes tokens and credentials; the same seed makes the same ones.
	Seed uint64
	// Seen is told of every request, after it was answered; optional.
	Seen func(Request)
}

// A Request is one that was answered, or left without an answer.
type Request struct {
	Time                   time.Time
	Instance, Method, Path string
	Status                 int           // 0 if there was no answer
	Fault                  cloudsim.Verb // what met it, if anything
}

// A Service tells instances about themselves. It may be used concurrently.
type Service struct {
	Options

	mu        sync.Mutex
	random    *rand.ChaCha8
	instances map[string]*instance
	issued    map[string]Key // by their ids
	faults    []*Fault
}

// instance is what the service keeps of one.
type instance struct {
	tokens map[string]time.Time // their ends
	left   float64              // of the burst
	filled time.Time
	key    Key
}

// New makes a service.
func New(opts Options) *Service {
	opts.KeysLast = cmp.Or(opts.KeysLast, 6*time.Hour)
	opts.KeysSpare = cmp.Or(opts.KeysSpare, 5*time.Minute)
	if opts.Dialect.read == nil {
		opts.Dialect = EC2()
	}
	if opts.Role == nil {
		opts.Role = func(string) string { return "" }
	}
	var seed [32]byte
	for i := range 8 {
		seed[i] = byte(opts.Seed >> (8 * i))
	}
	return &Service{Options: opts, random: rand.NewChaCha8(seed), instances: map[string]*instance{}, issued: map[string]Key{}}
}

// Handler is the service as one instance sees it, whoever asks it.
func (s *Service) Handler(instance string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(instance, w, r) })
}

// of returns what is kept of an instance. The caller has the lock.
func (s *Service) of(id string) *instance {
	if s.instances[id] == nil {
		s.instances[id] = &instance{tokens: map[string]time.Time{}, left: s.Burst, filled: time.Now()}
	}
	return s.instances[id]
}

// spend takes one request out of the instance's bucket; false if it is empty.
func (s *Service) spend(id string) bool {
	if s.Rate == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, now := s.of(id), time.Now()
	i.left = min(s.Burst, i.left+s.Rate*now.Sub(i.filled).Seconds())
	i.filled = now
	if i.left < 1 {
		return false
	}
	i.left--
	return true
}
