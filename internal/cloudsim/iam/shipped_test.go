package iam_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim/iam"
)

// inlineMost is how long a role's inline policies may be together, by IAM's
// quotas, in characters other than white space.
const inlineMost = 10_240

// The policies that we ship are IAM's once the words of examples/aws/README.md
// are put in as it says, and fit into one role.
func TestTheShippedPoliciesAreIAMs(t *testing.T) {
	t.Parallel()
	const dir = "../../../examples/aws/"
	readme, err := os.ReadFile(dir + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	script := regexp.MustCompile(`sed -i '([^']+)' examples/aws/iam/\*\.json`).FindSubmatch(readme)
	files, err := filepath.Glob(dir + "iam/*.json")
	if err != nil || len(files) < 4 || script == nil {
		t.Fatalf("%d policies, %v; how to fill them in: %q", len(files), err, script)
	}
	length := 0
	for _, file := range files {
		text, err := exec.CommandContext(t.Context(), "sed", strings.ReplaceAll(string(script[1]), "…", "x"), file).Output()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := iam.Parse(text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, word := range []string{"REGION", "ACCOUNT", "CLUSTER", "vpc/VPC"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s: %s is still there", file, word)
			}
		}
		length += iam.Length(text)
	}
	if length > inlineMost {
		t.Errorf("%d characters, more than a role's %d", length, inlineMost)
	}
}
