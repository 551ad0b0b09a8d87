// Package virt is the one door to libvirt: domains, their interfaces live and
// stored, their hot-plug slots, and what happens to them.
package virt

import (
	"errors"
	"log/slog"

	"github.com/nicferry/nicferry/nic"
)

// The kinds of error; every method's error is of one of them or of ctx.
var (
	ErrNoLibvirt    = errors.New("no libvirt")                // this build or machine has none
	ErrUnreachable  = errors.New("libvirt cannot be reached") // the daemon is away; the call may have taken place
	ErrNoDomain     = errors.New("no such domain")
	ErrNoInterface  = errors.New("no such interface")
	ErrBusy         = errors.New("domain is busy") // in the middle of something, or the device is on its way out
	ErrNoSlot       = errors.New("no free hot-plug slot")
	ErrNotRunning   = errors.New("domain is not running")
	ErrTaken        = errors.New("already there") // an alias or address in use
	ErrDenied       = errors.New("denied")
	ErrInvalid      = errors.New("not accepted by libvirt") // this XML can never work there
	ErrUnsupported  = errors.New("not supported by this host")
	ErrInconclusive = errors.New("may have taken place") // no answer: look before anything else
	ErrRefused      = errors.New("refused by libvirt")   // for any other reason, which the text tells
)

// Options say which libvirt to speak to.
type Options struct {
	// URI is libvirt's, such as qemu:///system, qemu+ssh://root@host/system or
	// qemu+unix:///system?socket=/path. Required.
	URI string
	// Log is told when the connection is lost and when it is back. Optional.
	Log *slog.Logger
}

// State is whether a domain runs.
type State string

// The states.
const (
	Running State = "running"
	Paused  State = "paused" // frozen: requests complete when it wakes
	Off     State = "off"
)

// HotplugMode is how the machine type plugs devices at run time.
type HotplugMode string

// The modes. Native unplug takes seconds and can refuse (F27).
const (
	ACPI   HotplugMode = "acpi"
	Native HotplugMode = "native"
)

// A Domain is a virtual machine as libvirt tells it.
type Domain struct {
	Name, UUID string
	State      State
	// Asleep: it is off, and what ran in it may go on: it was saved, or has
	// migrated to another host.
	Asleep bool
	// Live is what is plugged in now, empty while the domain is off; Stored is
	// what it will have at its next start.
	Live, Stored []Interface
	Slots        Slots
	// Ports are the addresses, such as 0000:05:00.0, at which a card can be
	// plugged in now: behind the empty ports, and free in the stored definition
	// too. In the order of the definition.
	Ports   []string
	Hotplug HotplugMode
	// Transient: it has no stored definition, and is gone once it is off.
	Transient bool
}

// Slots is the domain's places for hot-plugged PCI devices: its empty PCIe
// root ports, with nothing kept back, taken from the XML. Where the machine runs
// they are those of the running one.
type Slots struct{ Total, Free int }

// An Interface is one network card of a domain.
type Interface struct {
	// Alias is ours, "ua-nicferry-…", or what libvirt or a person gave.
	Alias string
	MAC   nic.MAC
	Port  nic.Port
	// MTU in bytes; 0 is the switch's.
	MTU int
	// LinkDown: the guest sees no carrier.
	LinkDown bool
	// Address is the card's PCI address in the guest, such as 0000:05:00.0;
	// empty where none is given yet: then libvirt chooses.
	Address string
	// Target is the device on the host, such as vnet3; empty while off.
	Target string
}

// EventKind is what happened.
type EventKind string

// The events. Each is a hint to look; none is the truth.
const (
	DeviceAdded         EventKind = "device added"
	DeviceRemoved       EventKind = "device removed"
	DeviceRemovalFailed EventKind = "device removal failed" // the guest refused
	DomainChanged       EventKind = "domain changed"        // started, stopped, paused, resumed, defined, undefined
	Reconnected         EventKind = "reconnected"           // events may have been lost: look at everything
)

// An Event is a hint that a domain has changed.
type Event struct {
	Kind EventKind
	// UUID is the domain's; empty with Reconnected.
	UUID string
	// Alias is the device's, with the device events.
	Alias string
}
