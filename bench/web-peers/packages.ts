import { peerPackages } from "../peer-packages.ts";

/** onnxruntime-web and tfjs, as they are pinned beside this file. */
export const packages = peerPackages("web-peers");
