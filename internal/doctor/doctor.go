// Package doctor finds what on a machine would keep nicferry from serving its
// containers, and mends what it may.
//
// It reads configuration rather than state, so that it tells what would happen
// to the next NIC before one is plugged in. Nothing that it reads makes it fail:
// what cannot be read or understood is a finding or is passed over.
package doctor

import (
	"context"
	"fmt"
	"time"
)

// A State is how bad a finding is.
type State string

// The states of a finding.
const (
	OK   State = "OK"
	Warn State = "WARN" // works, but not well, or not for everything
	Fail State = "FAIL" // NICs will not arrive, or somebody else will take them
)

// A Finding is what one check has to say.
type Finding struct {
	// Check names the check; several findings may come from one.
	Check string `json:"check"`
	State State  `json:"state"`
	Says  string `json:"says"`
	// Remedy is what a person can do about it; empty when all is well.
	Remedy string `json:"remedy,omitempty"`
}

// A Machine is what is examined.
type Machine struct {
	// Root is where its /proc, /sys, /etc and /run are; required, "/" for the
	// machine we run on.
	Root string
	// DockerSocket is the Docker daemon's socket; required.
	DockerSocket string
	// Kernel answers what no file tells; nil leaves those checks out.
	Kernel Kernel
}

// Kernel is what the doctor asks of the running kernel.
type Kernel interface {
	// NICs are the links of the machine's own network namespace.
	NICs() ([]NIC, error)
	// CanMake tries to make a link of the kind, in a namespace of its own.
	CanMake(kind string) error
	// ClockSynced says whether the clock follows another.
	ClockSynced() (bool, error)
	// Messages are the latest lines of the kernel's log.
	Messages() ([]string, error)
	// Beat asks for one link and says how long the answer took.
	Beat(ctx context.Context) (time.Duration, error)
	// Flush takes all addresses from a NIC and sets it down.
	Flush(n NIC) error
}

// A check adds what it finds.
type check struct {
	name string
	run  func(ctx context.Context, v *visit)
}

// checks are in the order in which people read them: what the machine can do,
// who would get in the way, and what runs.
func checks() []check {
	return []check{
		{"rtnl", checkPulse}, // first: a stuck kernel is asked nothing more
		{"kernel", checkKernel},
		{"hotplug", checkSlots},
		{"drop-ins", checkDropIns},
		{"networkd", checkNetworkd},
		{"NetworkManager", checkNetworkManager},
		{"ifupdown", checkIfupdown},
		{"dhcpcd", checkDhcpcd},
		{"cloud-init", checkCloudInit},
		{"udev", checkRenames},
		{"grabbed", checkGrabbed},
		{"sysctl", checkSysctls},
		{"clock", checkClock},
		{"cgroup", checkCgroup},
		{"docker", checkDocker},
		{"agent", checkAgent},
	}
}

// Examine runs all checks. It changes nothing.
func Examine(ctx context.Context, m Machine) []Finding {
	v := &visit{Machine: m, tree: tree(m.Root)}
	for _, c := range checks() {
		v.check = c.name
		c.run(ctx, v)
	}
	return v.found
}

// Worst is the worst state among findings; OK if there are none.
func Worst(findings []Finding) State {
	worst := OK
	for _, f := range findings {
		if f.State == Fail || worst == OK {
			worst = f.State
		}
		if worst == Fail {
			break
		}
	}
	return worst
}

// visit is one examination.
type visit struct {
	Machine
	tree
	check string
	found []Finding
	stuck bool // the kernel is
}

func (v *visit) ok(format string, args ...any) { v.add(OK, "", format, args...) }

func (v *visit) warn(remedy, format string, args ...any) { v.add(Warn, remedy, format, args...) }

func (v *visit) fail(remedy, format string, args ...any) { v.add(Fail, remedy, format, args...) }

// maxFindings bounds what one check says; a file may give cause for any number.
const maxFindings = 20

func (v *visit) add(state State, remedy, format string, args ...any) {
	said := 0
	for _, f := range v.found {
		if f.Check == v.check {
			said++
		}
	}
	if said >= maxFindings {
		return
	}
	v.found = append(v.found, Finding{v.check, state, fmt.Sprintf(format, args...), remedy})
}
