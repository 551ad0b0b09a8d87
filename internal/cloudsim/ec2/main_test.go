package ec2

import (
	"encoding/json"
	"os/exec"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sdk is where the SDK's module for EC2 is, of the version that go.mod names. It
// is read as data: its recorded requests, and the names that it reads in answers.
func sdk(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/aws/aws-sdk-go-v2/service/ec2").Output()
	if err != nil {
		t.Fatalf("find the SDK's module: %v\n%s", err, out)
	}
	var module struct{ Dir, Version string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	if module.Dir == "" {
		t.Fatalf("the SDK's module has no directory: %s", out)
	}
	return module.Dir
}
