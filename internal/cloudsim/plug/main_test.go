package plug_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// libvirt's event loop is there for as long as the program.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/nicferry/nicferry/internal/virt.runLoop"))
}
