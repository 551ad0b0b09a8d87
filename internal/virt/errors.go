//go:build libvirt

package virt

import (
	"errors"
	"fmt"
	"strings"

	"libvirt.org/go/libvirt"
)

// kind adds to libvirt's error which of ours it is.
func kind(err error) error {
	if err == nil {
		return nil
	}
	var e libvirt.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return fmt.Errorf("%w: %s", kindOf(e), strings.TrimSpace(e.Message))
}

// openKind is kind for an error of opening: what is not known better is a
// daemon that is away.
func openKind(err error) error {
	err = kind(err)
	if errors.Is(err, ErrRefused) {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

func kindOf(e libvirt.Error) error {
	if k := kindOfText(e.Message); k != nil {
		return k
	}
	switch e.Code {
	case libvirt.ERR_NO_DOMAIN:
		return ErrNoDomain
	case libvirt.ERR_DEVICE_MISSING:
		return ErrNoInterface
	case libvirt.ERR_OPERATION_TIMEOUT, libvirt.ERR_RESOURCE_BUSY, libvirt.ERR_AGENT_UNSYNCED:
		return ErrBusy
	case libvirt.ERR_DOM_EXIST, libvirt.ERR_NETWORK_EXIST:
		return ErrTaken
	case libvirt.ERR_AUTH_FAILED, libvirt.ERR_AUTH_CANCELLED, libvirt.ERR_AUTH_UNAVAILABLE,
		libvirt.ERR_ACCESS_DENIED, libvirt.ERR_OPERATION_DENIED, libvirt.ERR_OPERATION_ABORTED:
		return ErrDenied
	case libvirt.ERR_XML_ERROR, libvirt.ERR_XML_DETAIL, libvirt.ERR_XML_INVALID_SCHEMA, libvirt.ERR_INVALID_ARG:
		return ErrInvalid
	case libvirt.ERR_NO_SUPPORT, libvirt.ERR_CONFIG_UNSUPPORTED, libvirt.ERR_ARGUMENT_UNSUPPORTED,
		libvirt.ERR_OPERATION_UNSUPPORTED:
		return ErrUnsupported
	case libvirt.ERR_NO_CONNECT, libvirt.ERR_RPC, libvirt.ERR_INVALID_CONN, libvirt.ERR_LIBSSH:
		return ErrUnreachable
	}
	if e.Domain == libvirt.FROM_RPC || e.Domain == libvirt.FROM_REMOTE {
		return ErrUnreachable
	}
	return ErrRefused
}

// texts are where libvirt has one number for many things. They are those of
// libvirt 9 to 12 and of QEMU 7 to 10, in English: it is what a daemon without
// a locale says.
var texts = []struct {
	part string
	kind error
}{
	{"Failed to open libvirt.so", ErrNoLibvirt},
	{"domain is not running", ErrNotRunning},
	{"unexpectedly closed the monitor", ErrNotRunning},
	{"End of file from qemu monitor", ErrNotRunning},
	{"guest unexpectedly quit", ErrNotRunning},
	{"No more available PCI", ErrNoSlot},
	{"in the process of unplug", ErrBusy},
	{"guest is busy", ErrBusy}, // native hot-plug, for some seconds after each request
	{"cannot acquire state change lock", ErrBusy},
	{"Duplicate device ID", ErrTaken},
	{"Duplicate ID", ErrTaken},
	{"non unique alias", ErrTaken},
	{"already exists", ErrTaken},
	{"already in use", ErrTaken},
	{"double use of PCI", ErrTaken},
	{"no device found with alias", ErrNoInterface},
	{"does not support hotplugging", ErrUnsupported},
	{"hotplug is not supported", ErrUnsupported},
	{"qdisc kind is unknown", ErrUnsupported}, // bandwidth, on a kernel without that shaper
}

func kindOfText(message string) error {
	for _, t := range texts {
		if strings.Contains(message, t.part) {
			return t.kind
		}
	}
	return nil
}
