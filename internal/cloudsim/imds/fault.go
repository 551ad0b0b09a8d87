package imds

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
)

// The verbs besides those that the service shares with the cloud's other door.
// That answers are stale, late or refused is the model's, by its faults on API
// Metadata.
const (
	Silent  cloudsim.Verb = "silent"   // never answers, as behind one hop too many
	Off     cloudsim.Verb = "off"      // answers 403, as where an instance's HttpEndpoint is disabled
	Forget  cloudsim.Verb = "forget"   // answers 401 to a token that is right
	OldKeys cloudsim.Verb = "old-keys" // gives out credentials that have ended
)

// verbs are all that go wrong here: throttle answers 503 (ECS 429), reset breaks the
// connection, html answers 200 and a portal's page, and empty 200 and nothing.
func verbs() []cloudsim.Verb {
	return []cloudsim.Verb{
		cloudsim.Throttle, Silent, cloudsim.Reset, cloudsim.HTML, cloudsim.Empty, Off, Forget, OldKeys,
	}
}

// A Fault meets requests until it is spent or cleared.
type Fault struct {
	Verb cloudsim.Verb `json:"verb" yaml:"verb"`
	// Instance and Path say whose requests and which; empty is all. Path is
	// their beginning, such as /latest/api/token.
	Instance string `json:"instance,omitempty" yaml:"instance,omitempty"`
	Path     string `json:"path,omitempty" yaml:"path,omitempty"`
	// Count is how many requests it meets; 0 is any number.
	Count int `json:"count,omitempty" yaml:"count,omitempty"`
	// For is how long it lasts from when it is set; 0 is until it is cleared.
	For nic.Duration `json:"for,omitempty" yaml:"for,omitempty"`

	end time.Time // of For
}

// Check tells all that is wrong with a fault, joined; nil is nothing.
func (f Fault) Check() error {
	var err error
	if !slices.Contains(verbs(), f.Verb) {
		err = fmt.Errorf("verb %q: want one of %q", f.Verb, verbs())
	}
	if f.Path != "" && !strings.HasPrefix(f.Path, "/") {
		err = errors.Join(err, fmt.Errorf("path %q: want one from / on", f.Path))
	}
	if f.Count < 0 {
		err = errors.Join(err, fmt.Errorf("count %d: want 0 or more", f.Count))
	}
	if f.For < 0 {
		err = errors.Join(err, fmt.Errorf("for %s: want 0 or more", f.For))
	}
	return err
}

// Inject adds faults, all or none. Of several that meet a request the first is taken.
func (s *Service) Inject(faults ...Fault) error {
	var err error
	for n, f := range faults {
		if wrong := f.Check(); wrong != nil {
			err = errors.Join(err, fmt.Errorf("metadata fault %d: %w", n, wrong))
		}
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.For > 0 {
			f.end = time.Now().Add(time.Duration(f.For))
		}
		s.faults = append(s.faults, &f)
	}
	return nil
}

// Clear takes all faults away, and returns how many there were.
func (s *Service) Clear() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.faults)
	s.faults = nil
	return n
}

// met finds the fault that meets a request, and counts it; empty if there is none.
func (s *Service) met(id string, r *http.Request) cloudsim.Verb {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.faults = slices.DeleteFunc(s.faults, func(f *Fault) bool { return !f.end.IsZero() && !now.Before(f.end) })
	n := slices.IndexFunc(s.faults, func(f *Fault) bool {
		return (f.Instance == "" || f.Instance == id) && strings.HasPrefix(r.URL.Path, f.Path)
	})
	if n < 0 {
		return ""
	}
	f := s.faults[n]
	if f.Count == 1 {
		s.faults = slices.Delete(s.faults, n, n+1)
	} else if f.Count > 1 {
		f.Count--
	}
	return f.Verb
}
