package aliyun

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/provider/aliyun/acs"
)

// What is signed with.
const (
	testKey    = "LTAI5tEXAMPLEexampleKEY1"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY=EXAMPLE"
	testToken  = "CAISEXAMPLEtoken/of+somebody="
)

func keys() acs.Keys {
	return acs.Fixed(acs.Key{Access: testKey, Secret: testSecret, Token: testToken})
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
