//go:build !linux

package doctor

import "errors"

// Live is the running kernel. There is none that serves containers here.
type Live struct{ Kernel }

// Open refuses: containers get NICs on Linux alone.
func Open() (*Live, error) {
	return nil, errors.New("examine this machine: it is not Linux; run the doctor where the containers are")
}

// Close does nothing.
func (l *Live) Close() error { return nil }
