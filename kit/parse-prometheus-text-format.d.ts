declare module 'parse-prometheus-text-format' {
  export interface Metric {
    readonly value: string;
    readonly labels?: Readonly<Record<string, string>>;
  }
  export interface Family {
    readonly name: string;
    readonly help: string;
    readonly type: string;
    readonly metrics: readonly Metric[];
  }
  export default function parse(text: string): Family[];
}
