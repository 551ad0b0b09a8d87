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
	"net"
	"time"

	"github.com/nicferry/nicferry/internal/conf"
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
	// AgentConfig and ControllerConfig are the paths of the two configs;
	// optional, conf.AgentPath and conf.ControllerPath.
	AgentConfig, ControllerConfig string
	// Network is what is asked for names and connections; nil leaves that out,
	// and says so. Unix sockets are opened without it.
	Network Network
	// Run runs a program to its end and returns what it printed; nil runs none,
	// as on a tree that is no running machine.
	Run func(ctx context.Context, name string, args ...string) ([]byte, error)
	// Version is the program's own, to hold against the daemons'; optional.
	Version string
	// Now is the time; optional, time.Now.
	Now func() time.Time
	// patience bounds each question; askTime but in tests.
	patience time.Duration
}

// Network is what the doctor asks of others. Each call gets a deadline.
type Network interface {
	// LookupHost resolves a name.
	LookupHost(ctx context.Context, host string) ([]string, error)
	// DialContext connects.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Kernel is what the doctor asks of the running kernel.
type Kernel interface {
	// NICs are the links of the machine's own network namespace.
	NICs() ([]NIC, error)
	// CanMake tries to make a link of the kind, in a namespace of its own, or what
	// an ability names.
	CanMake(kind string) error
	// ClockSynced says whether the clock follows another.
	ClockSynced() (bool, error)
	// Messages are the latest lines of the kernel's log.
	Messages() ([]string, error)
	// Beat asks for one link and says how long the answer took.
	Beat(ctx context.Context) (time.Duration, error)
	// Flush takes all addresses from a NIC and sets it down.
	Flush(n NIC) error
	// Free says how much of a path's file system, in bytes, is left and is in all.
	Free(path string) (free, total uint64, err error)
}

// A check adds what it finds.
type check struct {
	name string
	run  func(ctx context.Context, v *visit)
	// node: of no use where a controller is and no agent.
	node bool
}

// checks are in the order in which people read them: what the machine can do,
// who would get in the way, and what runs.
func checks() []check {
	return []check{
		{"rtnl", checkPulse, false}, // first: a stuck kernel is asked nothing more
		{"kernel", checkKernel, false},
		{"modules", checkModules, false},
		{"hotplug", checkSlots, true},
		{"sr-iov", checkSRIOV, false},
		{"iommu", checkIOMMU, false},
		{"drop-ins", checkDropIns, true},
		{"networkd", checkNetworkd, true},
		{"NetworkManager", checkNetworkManager, true},
		{"ifupdown", checkIfupdown, true},
		{"dhcpcd", checkDhcpcd, true},
		{"cloud-init", checkCloudInit, true},
		{"udev", checkRenames, true},
		{"grabbed", checkGrabbed, true},
		{"sysctl", checkSysctls, true},
		{"clock", checkClock, false},
		{"cgroup", checkCgroup, true},
		{"docker", checkDocker, true},
		{"metadata", checkMetadata, false},
		{"config", checkAgentConfig, true},
		{"moves", checkMoves, true},
		{"dns", checkDNS, false},
		{"certificates", checkCertificates, true},
		{"permissions", checkPermissions, false},
		{"ports", checkPorts, false},
		{"agent", checkAgent, false},
		{"controller", checkWays, true},
	}
}

// controllerChecks are for a machine that has a controller's config.
func controllerChecks() []check {
	return []check{
		{"nicferryd", checkControllerConfig, false},
		{"store", checkStore, false},
		{"socket", checkSocket, false},
		{"listen", checkListen, false},
		{"providers", checkProviders, false},
		{"switches", checkSwitches, false},
		{"status", checkStatus, false},
		{"nodes", checkNodes, false},
	}
}

// Examine runs all checks. It changes nothing.
func Examine(ctx context.Context, m Machine) []Finding {
	v := newVisit(m)
	all := checks()
	if v.hasController() {
		all = append(all, controllerChecks()...)
	}
	node := v.hasAgent() || !v.hasController()
	for _, c := range all {
		if c.node && !node {
			continue
		}
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

	// The two configs, or why there is none; fs.ErrNotExist if there is no file.
	agent         *conf.Agent
	agentErr      error
	controller    *conf.Controller
	controllerErr error
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
