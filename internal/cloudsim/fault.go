package cloudsim

import (
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
	// Name is what it is cleared by and what the log calls it; drawn where it
	// is empty.
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
	// State is what stuck is about: pending, attaching or detaching.
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

// A Foreign is an interface that somebody else made.
type Foreign struct {
	// Subnet is where; required.
	Subnet      string `json:"subnet" yaml:"subnet"`
	Description string `json:"description,omitempty" yaml:"description,omitempty"`
	Tags        Tags   `json:"tags,omitempty" yaml:"tags,omitempty"`
	// Instance is where it is plugged in, at the lowest free index; empty is
	// nowhere.
	Instance string `json:"instance,omitempty" yaml:"instance,omitempty"`
	// Requester is the service that manages it, such as amazon-elb; empty is
	// nobody.
	Requester string `json:"requester,omitempty" yaml:"requester,omitempty"`
	// Count is how many there are; 0 is one.
	Count int `json:"count,omitempty" yaml:"count,omitempty"`
}

// Check tells all that is wrong with a fault, joined; nil is nothing.
func (f Fault) Check() error { return nil }

// Inject plans faults, all or none, and returns their names.
func (c *Cloud) Inject(faults ...Fault) ([]string, error) { return nil, errNotBuilt }

// Clear takes back the named faults, or all for none named: they strike no
// more, and what they hold goes on. It returns how many there were.
func (c *Cloud) Clear(names ...string) int { return 0 }

// Faults are those that are planned and can still strike or hold something.
func (c *Cloud) Faults() []Planned { return nil }

// A Planned is a fault and what has come of it.
type Planned struct {
	Fault
	// Matched and Struck are numbers of calls.
	Matched int `json:"matched"`
	Struck  int `json:"struck"`
}

// Plant puts foreign interfaces into the world and returns their ids.
func (c *Cloud) Plant(foreign ...Foreign) ([]string, error) { return nil, errNotBuilt }
