// Command reader asks the stock go-tuf client for the state of repositories and for targets in them, and prints
// the answers as JSON. Questions and answers are those of ../readers.ts.
package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"
)

type target struct {
	Length int64  `json:"length"`
	Sha256 string `json:"sha256"`
}

type answer struct {
	OK        bool               `json:"ok"`
	Root      int64              `json:"root"`
	Timestamp int64              `json:"timestamp"`
	Snapshot  int64              `json:"snapshot"`
	Targets   map[string]*target `json:"targets"`
}

type refusal struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

type question struct {
	MetadataURL string   `json:"metadataUrl"`
	TargetsURL  string   `json:"targetsUrl"`
	Root        string   `json:"root"`
	Dir         string   `json:"dir"`
	Targets     []string `json:"targets"`
}

func read(q question) (*answer, error) {
	root, err := os.ReadFile(q.Root)
	if err != nil {
		return nil, err
	}
	settings, err := config.New(q.MetadataURL, root)
	if err != nil {
		return nil, err
	}
	settings.LocalMetadataDir = q.Dir
	settings.LocalTargetsDir = q.Dir
	settings.RemoteTargetsURL = q.TargetsURL
	client, err := updater.New(settings)
	if err != nil {
		return nil, err
	}
	if err := client.Refresh(); err != nil {
		return nil, err
	}
	trusted := client.GetTrustedMetadataSet()
	found := &answer{
		OK:        true,
		Root:      trusted.Root.Signed.Version,
		Timestamp: trusted.Timestamp.Signed.Version,
		Snapshot:  trusted.Snapshot.Signed.Version,
		Targets:   make(map[string]*target, len(q.Targets)),
	}
	for _, path := range q.Targets {
		info, err := client.GetTargetInfo(path)
		// go-tuf answers "not there" with an error that has no type of its own.
		if err != nil && err.Error() == fmt.Sprintf("target %s not found", path) {
			found.Targets[path] = nil
			continue
		}
		if err != nil {
			return nil, err
		}
		found.Targets[path] = &target{Length: info.Length, Sha256: hex.EncodeToString(info.Hashes["sha256"])}
	}
	return found, nil
}

func answers(in io.Reader, out io.Writer) error {
	questions, results := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q question
		if err := questions.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var output any
		found, err := read(q)
		if err != nil {
			output = refusal{Error: err.Error()}
		} else {
			output = found
		}
		if err := results.Encode(output); err != nil {
			return err
		}
	}
}

func main() {
	if err := answers(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
