//go:build !libvirt

package virt

import (
	"context"
	"fmt"
)

// Built says whether this program can speak to libvirt.
const Built = false

var errNotBuilt = fmt.Errorf("%w in this program: build it with `make build`, "+
	"or with CGO_ENABLED=1 and -tags \"libvirt libvirt_dlopen\"", ErrNoLibvirt)

// A Conn is a connection to libvirt. In a program that was built without it
// there is none, and every method returns ErrNoLibvirt.
type Conn struct{}

// Open returns ErrNoLibvirt.
func Open(context.Context, Options) (*Conn, error) { return nil, errNotBuilt }

// Close does nothing.
func (*Conn) Close() error { return nil }

// Events never has any.
func (*Conn) Events() <-chan Event { return nil }

// Domain returns ErrNoLibvirt.
func (*Conn) Domain(context.Context, string) (Domain, error) { return Domain{}, errNotBuilt }

// Domains returns ErrNoLibvirt.
func (*Conn) Domains(context.Context) ([]Domain, error) { return nil, errNotBuilt }

// Plug returns ErrNoLibvirt.
func (*Conn) Plug(context.Context, string, Interface) error { return errNotBuilt }

// Unplug returns ErrNoLibvirt.
func (*Conn) Unplug(context.Context, string, Interface) error { return errNotBuilt }

// Define returns ErrNoLibvirt.
func (*Conn) Define(context.Context, string) (Domain, error) { return Domain{}, errNotBuilt }

// Undefine returns ErrNoLibvirt.
func (*Conn) Undefine(context.Context, string) error { return errNotBuilt }

// Start returns ErrNoLibvirt.
func (*Conn) Start(context.Context, string) error { return errNotBuilt }

// Destroy returns ErrNoLibvirt.
func (*Conn) Destroy(context.Context, string) error { return errNotBuilt }

// Suspend returns ErrNoLibvirt.
func (*Conn) Suspend(context.Context, string) error { return errNotBuilt }

// Resume returns ErrNoLibvirt.
func (*Conn) Resume(context.Context, string) error { return errNotBuilt }

// Reset returns ErrNoLibvirt.
func (*Conn) Reset(context.Context, string) error { return errNotBuilt }

// StartNetwork returns ErrNoLibvirt.
func (*Conn) StartNetwork(context.Context, string) error { return errNotBuilt }
