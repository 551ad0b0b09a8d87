package cloudsim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// A Verb is what a fault does.
type Verb string

// The faults of the model.
const (
	Throttle          Verb = "throttle"            // RequestLimitExceeded
	DelayVisible      Verb = "delay-visible"       // what the call wrote shows only after Delay
	StaleDescribe     Verb = "stale-describe"      // the call reads the world as it was Delay ago
	Stuck             Verb = "stuck"               // the transition into State that the call begins takes Delay; 0 is until cleared
	AttachThenVanish  Verb = "attach-then-vanish"  // Delay after it was attached, it is not any more
	AttachedButNoNIC  Verb = "attached-but-no-nic" // attached by the API, but not in the machine
	BackToAvailable   Verb = "back-to-available"   // attaching ends in available, without a word
	Conflict          Verb = "conflict"            // Code, or IncorrectState
	IndexConflict     Verb = "index-conflict"      // the device index that is asked for is in use, says the cloud
	Limit             Verb = "limit"               // Code, or the limit that the call can run into
	SubnetEmpty       Verb = "subnet-empty"        // InsufficientFreeAddressesInSubnet
	ServerError       Verb = "5xx"                 // Code, or InternalError; Status, or 500
	Slow              Verb = "slow"                // the call takes Delay longer
	ClockSkew         Verb = "clock-skew"          // the cloud's clock is off by Delay, from now on until cleared
	StrictValidation  Verb = "strict-validation"   // nothing lenient, from now on until cleared
	TerminateInstance Verb = "terminate-instance"  // the call's instance is terminated, or the one that Target names
	ForeignObjects    Verb = "foreign-objects"     // Foreign are planted, now
	Fail              Verb = "fail"                // Code, Message and Status, as said
)

// The faults of the wire, which the face carries out.
const (
	LoseReply Verb = "lose-reply" // done, and the connection broken before the answer
	Reset     Verb = "reset"      // the connection broken; not done, unless After
	HTML      Verb = "html"       // a proxy's page for an answer, with Status or 502; not done, unless After
	Empty     Verb = "empty"      // an empty answer, with Status or 200; done if 2xx
	Half      Verb = "half"       // done, and half of the answer
)

// A Fault is a plan: which calls it strikes, and what it does to them.
type Fault struct {
	// Name is what it is cleared by and what the log calls it; made of the verb
	// and a number where it is empty.
	Name string `json:"name,omitempty" yaml:"name,omitempty"`
	Verb Verb   `json:"verb" yaml:"verb"`
	// API is the action, * and ? for any characters; empty is any.
	API string `json:"api,omitempty" yaml:"api,omitempty"`
	// Resource is the id of something that the call is about, with * and ?, or
	// its client token; or tag:KEY=VALUE of a tag on it. Empty is any.
	Resource string `json:"resource,omitempty" yaml:"resource,omitempty"`
	// Caller is the access key; empty is any.
	Caller string `json:"caller,omitempty" yaml:"caller,omitempty"`
	// Nth is the first of the matching calls that is struck, from 1; 0 is 1.
	Nth int `json:"nth,omitempty" yaml:"nth,omitempty"`
	// Count is how many are struck from there; 0 is one, or with For any
	// number; -1 is any number.
	Count int `json:"count,omitempty" yaml:"count,omitempty"`
	// For is how long after its planning it strikes; 0 is for ever.
	For nic.Duration `json:"for,omitempty" yaml:"for,omitempty"`
	// Delay is the verb's time.
	Delay nic.Duration `json:"delay,omitempty" yaml:"delay,omitempty"`
	// State is what stuck is about: pending, attaching, detaching, deleting or binding.
	State string `json:"state,omitempty" yaml:"state,omitempty"`
	// After: the call takes effect first.
	After bool `json:"after,omitempty" yaml:"after,omitempty"`
	// Code, Message and Status are the error to give, for verbs that say so.
	Code    string `json:"code,omitempty" yaml:"code,omitempty"`
	Message string `json:"message,omitempty" yaml:"message,omitempty"`
	Status  int    `json:"status,omitempty" yaml:"status,omitempty"`
	// Target is the instance to terminate; empty is the call's.
	Target  string    `json:"target,omitempty" yaml:"target,omitempty"`
	Foreign []Foreign `json:"foreign,omitempty" yaml:"foreign,omitempty"`
}

// verbs are all that there are.
var verbs = []Verb{
	Throttle, DelayVisible, StaleDescribe, Stuck, AttachThenVanish, AttachedButNoNIC, BackToAvailable, Conflict,
	IndexConflict, Limit, SubnetEmpty, ServerError, Slow, ClockSkew, StrictValidation, TerminateInstance,
	ForeignObjects, Fail, LoseReply, Reset, HTML, Empty, Half,
}

// Check tells all that is wrong with a fault, joined; nil is nothing.
func (f Fault) Check() error {
	var all []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			all = append(all, fmt.Errorf("fault %s: "+format, append([]any{cmp.Or(f.Name, string(f.Verb), "without a verb")}, args...)...))
		}
	}
	wrong(!slices.Contains(verbs, f.Verb), "verb %q is none of %v", f.Verb, verbs)
	wrong(f.Nth < 0, "nth is %d: calls count from 1", f.Nth)
	wrong(f.Count < -1, "count is %d: say -1 for any number", f.Count)
	wrong(f.For < 0, "for is %v: it must not be negative", f.For)
	wrong(f.Delay < 0 && f.Verb != ClockSkew, "delay is %v: only clock-skew can be negative", f.Delay)
	timed := []Verb{DelayVisible, StaleDescribe, Slow, ClockSkew}
	wrong(f.Delay == 0 && slices.Contains(timed, f.Verb), "needs a delay, such as 30s")
	states := []string{"pending", string(Attaching), string(Detaching), "deleting", "binding"}
	wrong(f.Verb == Stuck && !slices.Contains(states, f.State), "state is %q: say one of %v", f.State, states)
	wrong(f.Verb != Stuck && f.State != "", "state is for stuck only")
	wrong(f.Verb == Fail && f.Code == "", "needs a code, such as InvalidParameterValue")
	wrong(f.Verb == ForeignObjects && len(f.Foreign) == 0, "needs foreign, a list of interfaces with a subnet")
	wrong(f.Verb != ForeignObjects && len(f.Foreign) > 0, "foreign is for foreign-objects only")
	for n, o := range f.Foreign {
		wrong(o.Subnet == "", "foreign object %d needs a subnet", n+1)
		wrong(o.Count < 0, "foreign object %d has the count %d", n+1, o.Count)
	}
	wrong(f.Status != 0 && (f.Status < 200 || f.Status > 599), "status is %d: it is an HTTP status", f.Status)
	wrong(f.After && !slices.Contains([]Verb{ServerError, Fail, Slow, TerminateInstance, Reset, HTML}, f.Verb), "after means nothing to this verb")
	return errors.Join(all...)
}
