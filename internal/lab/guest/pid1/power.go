//go:build linux

package pid1

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// The parts of an input event that mean that the power button was pressed:
// input_event of linux/input.h, 24 bytes on 64-bit machines.
const (
	eventSize = 24
	typeKey   = 1
	keyPower  = 116
)

// watchPowerButton calls pressed when a hypervisor presses the ACPI power
// button, until ctx ends.
func watchPowerButton(ctx context.Context, log *slog.Logger, pressed func()) {
	names, err := filepath.Glob("/sys/class/input/event*/device/name")
	if err != nil {
		return
	}
	for _, name := range names {
		if text, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(text)) != "Power Button" {
			continue
		}
		event := filepath.Base(filepath.Dir(filepath.Dir(name)))
		file, err := os.Open(filepath.Join("/dev/input", event))
		if err != nil {
			log.Warn("the power button is not watched", "error", err)
			return
		}
		stop := context.AfterFunc(ctx, func() { file.Close() })
		defer stop()
		if awaitKey(file) == nil {
			log.Info("the power button was pressed")
			pressed()
		}
		return
	}
	log.Warn("the guest has no power button")
}

// awaitKey reads input events until one is the power key going down.
func awaitKey(r io.Reader) error {
	var event [eventSize]byte
	for {
		if _, err := io.ReadFull(r, event[:]); err != nil {
			return err
		}
		kind := binary.LittleEndian.Uint16(event[16:])
		code := binary.LittleEndian.Uint16(event[18:])
		if kind == typeKey && code == keyPower && binary.LittleEndian.Uint32(event[20:]) == 1 {
			return nil
		}
	}
}
