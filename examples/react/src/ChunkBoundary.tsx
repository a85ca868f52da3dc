import { Component, type ReactNode } from "react";
import { Button, Notice } from "./ui";

/** After a new release, an open page may ask for a chunk that is gone. Only a reload helps; the user does it. */
export class ChunkBoundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <Notice role="alert">
        This page can't be loaded. <Button onClick={() => location.reload()}>Load it again</Button>
      </Notice>
    );
  }
}
