package proof

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if job := os.Getenv(childEnv); job != "" {
		os.Exit(runChild(job))
	}
	if job := os.Getenv(powerEnv); job != "" {
		os.Exit(runPower(job))
	}
	lives := "15"
	if long() {
		lives = "500"
	}
	if err := flag.Set("rapid.checks", lives); err != nil { // the command line may say otherwise
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
