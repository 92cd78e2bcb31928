// Package checks is what a client's runner says, one line per check, and where it is told to go.
package checks

import (
	"fmt"
	"os"
)

var (
	// Tokens is the base URL of who hands out tokens: the issuer, or the keeper's drop-in.
	Tokens = os.Getenv("MINTKEEP_TOKENS")
	// Platform is the base URL of who takes tokens: always the issuer.
	Platform = os.Getenv("MINTKEEP_PLATFORM")
	// App is the client's id.
	App = os.Getenv("MINTKEEP_APP")
	// Secret is the app's own, or a consumer's.
	Secret = os.Getenv("MINTKEEP_SECRET")
	// WrongSecret is WeChat's code for one.
	WrongSecret = os.Getenv("MINTKEEP_WRONG_SECRET")
	// AtTheKeeper says who Tokens is.
	AtTheKeeper = os.Getenv("MINTKEEP_ROLE") == "keeper"
)

// Checks counts what did not hold.
type Checks struct {
	Client string
	failed bool
}

// That prints one check; `seen` is shown if it does not hold.
func (c *Checks) That(sentence string, holds bool, seen any) {
	if holds {
		fmt.Printf("ok %s: %s\n", c.Client, sentence)
		return
	}
	c.failed = true
	fmt.Printf("not ok %s: %s: %v\n", c.Client, sentence, seen)
}

// Finish ends the process by what was counted.
func (c *Checks) Finish() {
	fmt.Println("done")
	if c.failed {
		os.Exit(1)
	}
}
