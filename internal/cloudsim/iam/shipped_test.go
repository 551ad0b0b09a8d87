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

// inlineMost is how long a role's inline policies may be together, by IAM's quotas, and
// customMost one of RAM's that users make, in characters other than white space.
const (
	inlineMost = 10_240
	customMost = 6_144
)

// The policies that we ship are the cloud's once the words of the README beside them are
// put in as it says, and fit into one role.
func TestTheShippedPoliciesAreTheClouds(t *testing.T) {
	t.Parallel()
	for folder, cloud := range map[string]struct {
		parse    func([]byte) (iam.Document, error)
		together bool // are they counted
		most     int
	}{
		"examples/aws/iam":    {iam.Parse, true, inlineMost},
		"examples/aliyun/ram": {iam.RAM().Parse, false, customMost},
	} {
		readme, err := os.ReadFile(filepath.Join("../../..", folder, "../README.md"))
		if err != nil {
			t.Fatal(err)
		}
		script := regexp.MustCompile(`sed -i '([^']+)' ` + folder + `/\*\.json`).FindSubmatch(readme)
		files, err := filepath.Glob(filepath.Join("../../..", folder, "*.json"))
		if err != nil || len(files) < 4 || script == nil {
			t.Fatalf("%s: %d policies, %v; how to fill them in: %q", folder, len(files), err, script)
		}
		length := 0
		for _, file := range files {
			text, err := exec.CommandContext(t.Context(), "sed", strings.ReplaceAll(string(script[1]), "…", "x"), file).Output()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := cloud.parse(text); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			for _, word := range []string{"REGION", "ACCOUNT", "CLUSTER", "vpc/VPC", "VSWITCH", "GROUP"} {
				if strings.Contains(string(text), word) {
					t.Errorf("%s: %s is still there", file, word)
				}
			}
			if length += iam.Length(text); length > cloud.most {
				t.Errorf("%s: %d characters, more than %d", file, length, cloud.most)
			}
			if !cloud.together {
				length = 0
			}
		}
	}
}
